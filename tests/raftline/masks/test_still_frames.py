"""Frames in which nothing changes cost little, and what moves after them is found as if each had been looked at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from raftline.masks.motion_detector import MotionDetector
from raftline.masks.motion_masks import FrameMotion, MotionMasks
from raftline.masks.options import MotionMaskOptions
from tests.raftline.masks.test_motion_masks import BEGINS, STEP_SECONDS, Shown, scene

RESTS = 40
"""Frames, after a second in which the camera is seen to stand, and before the sprite goes."""
FIRST = 30


def resting() -> list[Shown]:
    """A sprite that stands for 70 frames and goes: `scene`, with its first frames repeated under other noise."""
    rng, shown = np.random.default_rng(3), scene()
    begin = shown[1]
    noise = rng.normal(0, 2, (FIRST + RESTS, *begin.luma.shape))
    stands = [replace(begin, luma=np.clip(begin.luma + each, 0, 255).astype(np.uint8)) for each in noise]
    return [shown[0], *stands, *shown[1:]]


def run(shown: list[Shown], still: range, options: MotionMaskOptions) -> list[FrameMotion]:
    masks = MotionMasks(options)
    found = []
    for at, each in enumerate(shown):
        planes = [each.luma.copy()]
        found += masks.step(
            planes, each.grid_px, seconds=at * STEP_SECONDS, step_seconds=STEP_SECONDS, still=at in still
        )
        planes[0][:] = 0  # a frame's pixels are there only while it is looked at
    return found + masks.flush()


@pytest.mark.parametrize("backdate", [True, False])
def test_what_moves_after_still_frames_is_found_as_if_each_had_been_looked_at(backdate: bool) -> None:
    shown, options = resting(), MotionMaskOptions(backdate=backdate)
    rested, looked = (run(shown, still, options) for still in (range(FIRST, FIRST + RESTS), range(0)))
    assert len(rested) == len(looked) == len(shown)
    together = either = 0
    for one, other in zip(rested, looked, strict=True):
        assert [moving.id for moving in one.objects] == [moving.id for moving in other.objects]
        assert (one.began and one.began.begin_seconds) == (other.began and other.began.begin_seconds)
        together += np.count_nonzero(one.mask & other.mask)
        either += np.count_nonzero(one.mask | other.mask)
    assert either and together > 0.97 * either
    assert not any(result.mask.any() for result in rested[: FIRST + RESTS + BEGINS])


def test_an_event_ends_in_time_while_nothing_changes() -> None:
    shown, rng = scene(frames=30), np.random.default_rng(3)
    last = replace(shown[-1], grid_px=np.zeros_like(shown[1].grid_px))
    for noise in rng.normal(0, 2, (100, *last.luma.shape)):
        shown.append(replace(last, luma=np.clip(last.luma + noise, 0, 255).astype(np.uint8)))
    options = MotionMaskOptions(merge_seconds=0.5)
    rested, looked = (run(shown, still, options) for still in (range(55, 130), range(0)))
    ends = [[result.ended.last_seconds for result in found if result.ended] for found in (rested, looked)]
    assert len(ends[0]) == 1 and ends[0] == ends[1]


def test_what_stopped_stays_in_the_mask_for_as_long_as_told_though_nothing_changes() -> None:
    shown, rng = scene(frames=30), np.random.default_rng(3)
    last = replace(shown[-1], grid_px=np.zeros_like(shown[1].grid_px))
    for noise in rng.normal(0, 2, (80, *last.luma.shape)):
        shown.append(replace(last, luma=np.clip(last.luma + noise, 0, 255).astype(np.uint8)))
    options = MotionMaskOptions(stopped_seconds=2.0)
    rested, looked = (run(shown, still, options) for still in (range(31, 110), range(0)))
    covered = [sum(result.mask.any() for result in found) for found in (rested, looked)]
    assert covered[0] == covered[1] > 30


def test_the_background_goes_on_learning_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    moved = MotionDetector._moved
    monkeypatch.setattr(MotionDetector, "_moved", lambda self, frame: looked.append(frame) or moved(self, frame))
    shown = resting()[: FIRST + RESTS]
    masks = MotionMasks(MotionMaskOptions())
    learned = []
    for at, each in enumerate(shown):
        masks.step([each.luma], each.grid_px, step_seconds=STEP_SECONDS, still=at >= FIRST)
        assert masks._detector is not None
        learned.append(masks._detector._background._mixture.luma.copy())
    changes = [not np.array_equal(a, b) for a, b in zip(learned[FIRST:], learned[FIRST + 1 :], strict=False)]
    assert len(looked) == FIRST - 1 and 2 <= sum(changes) <= RESTS // 4
