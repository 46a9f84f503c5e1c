"""What stood or moved slowly before the camera was followed until it moved fast, and those frames stayed wrong."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pipeline.messages import Flow, Frame, Header, Message
from pipeline.stage import Demand
from pipeline.testing import TestContext, run_stage
from raftline.camera.transforms import frame_corners, motion_matrices, transform_points
from stages.flow import OpticalFlow
from stages.stabilization import Stabilization
from stages.stabilization.measurement import Measurement
from stages.stabilization.options import StabilizationOptions
from stages.stabilization.whole_clip import measured_path
from tests.cases.slow_thing import HEIGHT, SPEEDS, WIDTH, image, motions
from tests.stages.shaken_clip import context_of

SLOW = [at for at in range(1, len(SPEEDS) + 1) if SPEEDS[at - 1] < 0.0]


@pytest.fixture(scope="module")
def flows() -> list[Message]:
    frames = [frame(at) for at in range(len(SPEEDS) + 1)]
    return run_stage(OpticalFlow, frames, {"estimator": "dis"}, TestContext(demand=Demand(Stabilization.accuracy)))


def frame(at: int) -> Frame:
    header = Header("source", at, Fraction(1, 30), 10**18 + at, epoch=1, sequence=at + 1)
    return Frame(header, at, WIDTH, HEIGHT, "gray8", (image(at),), "bt709", "tv")


def off_px(flows: list[Message], unseen_seconds: float) -> np.ndarray:
    """(N,) px: error of the measured motion into each frame, rms of the corners."""
    measure = Measurement(StabilizationOptions.model_validate({}), TestContext(), unseen_seconds)
    run = measured_path([measure(each) for each in flows if isinstance(each, Flow)])[0]
    found, corners = motion_matrices(run.motions, WIDTH, HEIGHT), frame_corners(WIDTH, HEIGHT)
    true = [np.eye(3), *(motions(at)[0] for at in range(1, len(SPEEDS) + 1))]
    off = [transform_points(a, corners) - transform_points(b, corners) for a, b in zip(found, true, strict=True)]
    return np.sqrt((np.array(off) ** 2).sum(axis=-1).mean(axis=-1))


def test_the_frames_before_it_was_told_from_the_world_follow_the_world(flows: list[Message]) -> None:
    assert off_px(flows, unseen_seconds=0.5)[SLOW].mean() > 0.6  # by frames so far: they follow the thing
    found = off_px(flows, unseen_seconds=float("inf"))
    assert found[SLOW].mean() < 0.2 and found.max() < 0.5


def test_a_killed_worker_puts_the_same_frames_right(flows: list[Message], tmp_path: Path) -> None:
    measured = []
    for name, killed in (("whole", ()), ("killed", (3, 8, 13, 22, 23))):
        context = context_of(flows, tmp_path / name)
        options = {"measured": "measured.jsonl"}
        run_stage(Stabilization, flows, options, context, killed_after=killed, checkpoint_every=4)
        measured.append((tmp_path / name / "measured.jsonl").read_bytes())
    assert measured[0] == measured[1]
    assert b'"revised": [[' in measured[0]
