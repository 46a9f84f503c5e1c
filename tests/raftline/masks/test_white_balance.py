"""The white balance of a camera that stands steps, and nothing moves."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from raftline.masks.motion_masks import MotionMasks
from tests.raftline.synthetic_motion import textured

WIDTH, HEIGHT, FPS = 160, 96, 10
DAY = np.stack([cv2.GaussianBlur(textured(WIDTH, HEIGHT, seed=seed), (0, 0), 2.0) for seed in (1, 2, 3)], axis=2)
DAY[:60] //= 4
"""Most of it is dark, and stays as bright as it was."""


def frames(gains: tuple[float, float, float]) -> list[np.ndarray]:
    """uint8 (h, w, 3) RGB: 3 s in one white balance, 2 s in another."""
    rng = np.random.default_rng(0)
    shown = [DAY] * (3 * FPS) + [DAY * np.array(gains)] * (2 * FPS)
    return [np.clip(each + rng.normal(0, 2, DAY.shape), 0, 255).astype(np.uint8) for each in shown]


@pytest.mark.parametrize("gains", [(1.25, 1.0, 0.75), (0.8, 1.0, 1.3), (1.0, 1.0, 0.6)])
def test_a_step_of_the_white_balance_is_no_event(gains: tuple[float, float, float]) -> None:
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    masks, before, found = MotionMasks(), None, []
    for image in frames(gains):
        luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        flow = None if before is None else np.asarray(dis.calc(before, luma, None), np.float32)  # pyright: ignore[reportCallIssue, reportArgumentType]
        grid_px = None if flow is None else cv2.resize(flow, (WIDTH // 8, HEIGHT // 8), interpolation=cv2.INTER_AREA)
        found += masks.step([image], grid_px, step_seconds=1 / FPS)
        before = luma
    assert not any(result.began for result in found + masks.flush())
