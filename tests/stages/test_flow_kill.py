"""A worker of optical flow that is killed: the next one goes on to the last bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.messages import Flow, Frame, Gap, Message
from pipeline.testing import TestContext, run_stage
from stages.flow import OpticalFlow
from stages.shared.color import from_rgb
from tests.stages.frames import header
from tests.stages.test_flow import moving, texture


def scenes() -> list[Message]:
    """Motion, a stray frame, a duplicate, a cut, a gap, and what stands still until it moves again."""
    rng = np.random.default_rng(0)
    frames: list[Message] = [moving(index) for index in range(8)]
    frames[3] = moving(3, seed=5)
    frames[5] = replace(moving(4), index=5, header=header(5, 200))
    frames += [moving(index, seed=1) for index in range(8, 12)]
    frames[10] = Gap(header(10, 400), "lost_frames", "one")
    stands = texture(2)[:136, :160]
    for index in range(12, 24):
        noisy = np.clip(stands + rng.normal(0, 0.7, stands.shape), 0, 255).astype(np.uint8)
        frames.append(from_rgb(noisy, header(index, 100 * index), index))
    last = [replace(moving(index, seed=2), index=24 + index, header=header(24 + index)) for index in range(3)]
    return [*frames, *last]


def assert_same(one: list[Message], other: list[Message]) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert type(a) is type(b) and a.header == b.header
        if isinstance(a, Flow) and isinstance(b, Flow):
            assert (a.start, a.previous_index, a.step_seconds, a.iterations) == (
                b.start, b.previous_index, b.step_seconds, b.iterations,
            )  # fmt: skip
            for name in ("grid_px", "flow_px", "confidence"):
                np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


RAFT = {"estimator": "raft", "iterations": 2, "cold_iterations": 3, "threads": 1, "runtime": "torch"}


@pytest.mark.parametrize(
    ("options", "needs", "count"),
    [
        ({"estimator": "dis", "still_seconds": 0.75}, ("flow", "confidence"), None),
        ({**RAFT, "max_side_px": None, "one_motion_side_px": 96, "register_one_motion": True}, (), 12),
        ({**RAFT, "max_side_px": 96, "runtime": "auto"}, (), 12),
    ],
)
def test_a_killed_worker_changes_no_flow(options: dict[str, Any], needs: tuple[str, ...], count: int | None) -> None:
    frames = scenes()[:count]
    killed = range(0, len(frames), 3)
    whole, broken = (TestContext(needs=needs) for _ in range(2))
    undisturbed = run_stage(OpticalFlow, frames, options, whole)
    disturbed = run_stage(OpticalFlow, frames, options, broken, killed_after=killed, checkpoint_every=2)
    assert_same(undisturbed, disturbed)
    assert whole.counts == broken.counts
    starts = {flow.start for flow in undisturbed if isinstance(flow, Flow)}
    assert starts >= {"first", "passing", "resumed", "scene_cut", "duplicate"}
    assert count is not None or "still" in starts
    assert sum(isinstance(frame, Frame) for frame in frames) == len(undisturbed)
