"""Something that goes and stands by turns before a camera that stands, and the events that masks tell of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from raftline.masks.motion_masks import MotionMasks
from raftline.masks.options import MotionMaskOptions
from tests.raftline.masks.test_motion_masks import SPRITE, SPRITE_PX, WORLD
from tests.raftline.synthetic_motion import HEIGHT, WIDTH

FPS = 10
_PX_S, _TOP_PX = 50, 72

Shown = tuple[np.ndarray, np.ndarray | None]
"""Luma, uint8 (h, w), and the flow into it, (h / 8, w / 8, 2) px; None into the first."""


def walk(goes: Sequence[tuple[float, float]], seconds: float) -> Iterator[Shown]:
    """Make frames in which a sprite comes in from the left, and goes 50 px/s in each of the spans (from, to), s."""
    rng, left = np.random.default_rng(0), -SPRITE_PX[0]
    for at in range(round(seconds * FPS)):
        before, moves = left, any(begin < at / FPS <= end for begin, end in goes)
        left += _PX_S // FPS if moves else 0
        luma, grid_px = WORLD[:, :WIDTH].copy(), np.zeros((-(-HEIGHT // 8), -(-WIDTH // 8), 2), np.float32)
        part = SPRITE[:, max(-left, 0) :]
        luma[_TOP_PX : _TOP_PX + SPRITE_PX[1], max(left, 0) : max(left, 0) + part.shape[1]] = part
        luma = np.clip(luma + rng.normal(0, 2, luma.shape), 0, 255).astype(np.uint8)
        grid_px[9:13, max(before, 0) // 8 : max(before + SPRITE_PX[0], 0) // 8, 0] = left - before
        yield luma, grid_px if at else None


def spans_of_events(frames: Iterator[Shown], options: MotionMaskOptions) -> list[tuple[float, float | None]]:
    """Return begin and end of each event, s; None: it has no end yet."""
    masks = MotionMasks(options)
    results = [
        result
        for at, (luma, grid_px) in enumerate(frames)
        for result in masks.step([luma], grid_px, seconds=at / FPS, step_seconds=1 / FPS)
    ]
    results += masks.flush()
    ends = {result.ended.id: result.ended.last_seconds for result in results if result.ended}
    return [(event.begin_seconds, ends.get(event.id)) for result in results if (event := result.began)]
