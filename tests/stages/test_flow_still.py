"""What the flow stage does while nothing changes in view of a camera that stands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.messages import Frame, Gap
from pipeline.testing import TestContext
from stages.flow import OpticalFlow
from stages.shared.color import from_rgb
from tests.stages.frames import header
from tests.stages.test_flow import DIS, RAFT, moving, run, texture


def resting(count: int, begins: int) -> list[Frame]:
    """A texture with noise, 10 frames a second; from frame `begins` on its content goes 3 px right and 2 px down."""
    rng, made = np.random.default_rng(0), []
    for at in range(count):
        away = max(at - begins + 1, 0)
        view = texture()[100 - 2 * away : 236 - 2 * away, 100 - 3 * away : 260 - 3 * away].astype(np.float32)
        noisy = np.clip(view + rng.normal(0, 2, (136, 160, 1)), 0, 255).astype(np.uint8)
        made.append(from_rgb(noisy, header(at, 100 * at), at))
    return made


@pytest.mark.parametrize("options", [{**RAFT, "warm_start": "adaptive", "iterations": 2}, DIS])
def test_while_nothing_changes_but_noise_flow_is_zero_and_goes_on_with_the_first_motion(options):
    frames = resting(30, begins=26)
    flows = run(frames, options, needs=("flow", "confidence"))
    starts = [flow.start for flow in flows]
    assert "still" not in starts[:10] and starts[20:26] == ["still"] * 6 and "still" not in starts[26:]
    rest = flows[25]
    assert not np.asarray(rest.grid_px).any() and not np.asarray(rest.flow_px).any()
    assert np.asarray(rest.grid_px).shape == (17, 20, 2) and (np.asarray(rest.confidence) == 1).all()
    assert (rest.previous_index, rest.iterations) == (24, 0) and rest.step_seconds == pytest.approx(0.1)
    # The flow of the first frame in motion is that of the pair alone, the noise of the frame before it included.
    pair = run(frames[25:27], options, needs=("flow",))[1]
    assert (flows[26].start, flows[26].previous_index) == ("cold", 25)
    np.testing.assert_array_equal(np.asarray(flows[26].flow_px), np.asarray(pair.flow_px))


def test_no_frame_is_still_where_that_is_off():
    assert "still" not in [flow.start for flow in run(resting(24, begins=24), {**DIS, "still_seconds": None})]


def test_a_frozen_stream_is_a_duplicate_and_not_merely_still():
    first = moving(0)
    frozen = [replace(first, header=header(at, 100 * at), index=at) for at in range(20)]
    assert [flow.start for flow in run(frozen, DIS)][1:] == ["duplicate"] * 19


def test_frames_that_are_still_take_no_part_in_a_batch(monkeypatch):
    stage = OpticalFlow(OpticalFlow.Options(**RAFT), TestContext())
    stage.open()
    monkeypatch.setattr(type(stage._session), "batching_pays", True)
    flows = []
    for frame in resting(30, begins=26):
        OpticalFlow.prepare_batch([(stage, frame)])
        flows += stage.process(frame)
    assert [flow.start for flow in flows] == [flow.start for flow in run(resting(30, begins=26), RAFT)]
    assert [flow.start for flow in flows[20:]] == ["still"] * 6 + ["cold"] * 4


def test_after_a_gap_nothing_is_known_to_be_still():
    frames = resting(30, begins=30)
    flows = run([*frames[:20], Gap(header(20), "lost_frames"), *frames[21:]], DIS)
    assert flows[19].start == "still" and [flow.start for flow in flows[20:22]] == ["first", "cold"]
