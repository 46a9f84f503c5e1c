"""The light of a whole scene changes, at once or over many frames, and nothing moves; then somebody walks."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from raftline.masks.motion_masks import MotionMasks
from tests.raftline.synthetic_motion import textured

WIDTH, HEIGHT, FPS = 320, 180, 10
DAY = cv2.GaussianBlur(textured(WIDTH, HEIGHT, seed=6).astype(np.float32), (0, 0), 2.0)
PERSON = textured(20, 40, seed=9).astype(np.float32)
INFRARED = 0.6 * textured(WIDTH, HEIGHT, seed=7).astype(np.float32) + 0.4 * DAY
"""Other contrasts than by day."""
Part = tuple[int, float, float, np.ndarray, float]
"""Frames, gain at its begin and at its end, what is lit, and noise, grey levels."""


def lit(parts: list[Part]) -> Iterator[np.ndarray]:
    """uint8 (h, w) frames; in the last 2 s somebody walks through the last light."""
    rng = np.random.default_rng(0)
    gain, scene, sigma = 1.0, DAY, 2.0
    for frames, begin, end, scene, sigma in parts:
        for at in range(1, frames + 1):
            gain = begin + (end - begin) * at / frames
            yield np.clip(gain * scene + rng.normal(0, sigma, scene.shape), 0, 255).astype(np.uint8)
    for at in range(2 * FPS):
        image = gain * scene
        left = 8 * at
        image[60:100, left : left + 20] = gain * PERSON
        yield np.clip(image + rng.normal(0, sigma, image.shape), 0, 255).astype(np.uint8)


def events_begin(frames: Iterator[np.ndarray]) -> list[float]:
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    masks, before, found = MotionMasks(), None, []
    for luma in frames:
        flow = None if before is None else np.asarray(dis.calc(before, luma, None), np.float32)  # pyright: ignore[reportCallIssue, reportArgumentType]
        size = (-(-WIDTH // 8), -(-HEIGHT // 8))
        grid_px = None if flow is None else cv2.resize(flow, size, interpolation=cv2.INTER_AREA)
        found += masks.step([luma], grid_px, step_seconds=1 / FPS)
        before = luma
    return [result.began.begin_seconds for result in found + masks.flush() if result.began]


LEARNED: Part = (35, 1.0, 1.0, DAY, 2.0)


@pytest.mark.parametrize(
    "parts",
    [
        [(2, 1.0, 0.0, DAY, 2.0), (20, 1.0, 1.0, INFRARED, 8.0)],
        [(8, 1.0, 0.0, DAY, 2.0), (20, 1.0, 1.0, INFRARED, 8.0)],
        [(8, 1.0, 0.0, DAY, 2.0), (10, 0.0, 0.0, DAY, 2.0), (20, 1.0, 1.0, INFRARED, 8.0)],
        [(20, 1.0, 0.0, DAY, 2.0), (20, 0.0, 1.0, DAY, 2.0), (20, 1.0, 1.0, DAY, 2.0)],
        [(40, 1.0, 0.3, DAY, 3.0), (20, 0.3, 0.3, DAY, 5.0)],
        [(8, 1.0, 1.8, DAY, 2.0), (20, 1.8, 1.8, DAY, 2.0)],
        [(3, 4.0, 4.0, DAY, 2.0), (20, 1.0, 1.0, INFRARED, 8.0)],
        [(3, 4.0, 4.0, DAY, 2.0), (20, 1.0, 1.0, DAY, 2.0)],
        [(4, 0.8, 0.8, DAY, 3.0), (4, 0.6, 0.6, DAY, 3.0), (20, 0.45, 0.45, DAY, 4.0)],
    ],
    ids=[
        "2 frames to black, infrared",
        "8 frames to black, infrared",
        "8 frames to black, a second of it, infrared",
        "to black and back",
        "40 frames darker",
        "8 frames brighter",
        "3 overexposed, infrared",
        "3 overexposed",
        "steps of gain",
    ],
)
def test_a_change_of_the_light_is_no_event_and_who_walks_afterwards_is_one(parts: list[Part]) -> None:
    parts = [LEARNED, *parts]
    walks = sum(part[0] for part in parts) / FPS
    assert events_begin(lit(parts)) == [pytest.approx(walks, abs=0.35)]
