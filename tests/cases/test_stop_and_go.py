"""Something that stops and goes on, and the events of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from raftline.masks.motion_masks import FrameMotion, MotionMasks
from raftline.masks.options import MotionMaskOptions
from tests.raftline.masks.test_motion_masks import AT_ONCE, SPRITE, SPRITE_PX, WORLD, Shown
from tests.raftline.synthetic_motion import HEIGHT, WIDTH


def stop_and_go(goes: Sequence[tuple[float, float]], seconds: float, fps: int = 10) -> list[Shown]:
    """A sprite comes in from the left, and goes 50 px/s to the right in each of the spans (from, to), s."""
    shown, rng, left = [], np.random.default_rng(0), -SPRITE_PX[0]
    for at in range(round(seconds * fps)):
        before, moves = left, any(begin < at / fps <= end for begin, end in goes)
        left += 50 // fps if moves else 0
        luma, grid_px = WORLD[:, :WIDTH].copy(), np.zeros((-(-HEIGHT // 8), -(-WIDTH // 8), 2), np.float32)
        part = SPRITE[:, max(-left, 0) :]
        luma[72 : 72 + SPRITE_PX[1], max(left, 0) : max(left, 0) + part.shape[1]] = part
        luma = np.clip(luma + rng.normal(0, 2, luma.shape), 0, 255).astype(np.uint8)
        grid_px[9:13, max(before, 0) // 8 : max(before + SPRITE_PX[0], 0) // 8, 0] = left - before
        shown.append(Shown(luma, grid_px if at else None, np.zeros(0)))
    return shown


def events_of(results: Sequence[FrameMotion]) -> list[tuple[float, float | None]]:
    ended = {result.ended.id: result.ended.last_seconds for result in results if result.ended}
    return [(event.begin_seconds, ended.get(event.id)) for result in results if (event := result.began)]


@pytest.mark.parametrize(("options", "pause"), [(AT_ONCE, 0.6), (MotionMaskOptions(), 1.7), (MotionMaskOptions(), 2.4)])
def test_each_event_of_what_stops_and_goes_begins_where_it_goes_on(options: MotionMaskOptions, pause: float) -> None:
    """Pauses around `hold_seconds` (0.7) and `merge_seconds` (2.0)."""
    goes = [(1.5, 3.3), (3.3 + pause, 4.9 + pause), (4.9 + 2 * pause, 6.1 + 2 * pause)]
    masks = MotionMasks(options)
    shown = stop_and_go(goes, 6.2 + 2 * pause + 2.3)
    found = [
        result
        for at, each in enumerate(shown)
        for result in masks.step([each.luma], each.grid_px, seconds=at / 10, step_seconds=0.1)
    ]
    told = events_of(found + masks.flush())
    expected = goes if pause > 2.0 else [(goes[0][0], goes[-1][1])]
    assert told == [pytest.approx(each, abs=0.21) for each in expected]
