"""Views of a world by a camera that shakes, and how the change from each to the next is judged."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from raftline.flow.scene_change import ChangeDetector

DUPLICATE, CUT = 0.5, 0.4
"""The flow stage's defaults."""


def judgements(frames: list[npt.NDArray[np.uint8]]) -> list[str]:
    """Return what each RGB frame (h, w, 3) is judged to be."""
    detector = ChangeDetector(DUPLICATE, CUT)
    return [detector.judge(frame) for frame in frames]


def shaken(world: npt.NDArray[np.uint8], seed: int, count: int = 8) -> list[npt.NDArray[np.uint8]]:
    """Views of 320x180 px, off the middle by 6 px rms along each axis."""
    rng = np.random.default_rng(seed)
    views = []
    for x, y in rng.normal(0, 6, (count, 2)):
        to_view = np.array([[1.0, 0, x - (world.shape[1] - 320) / 2], [0, 1.0, y - (world.shape[0] - 180) / 2]])
        views.append(cv2.warpAffine(world, to_view, (320, 180)).astype(np.uint8))
    return views


def grass(seed: int) -> npt.NDArray[np.uint8]:
    """A world of 400x240 px of upright blades, 1 px wide and 8 px tall."""
    noise = np.random.default_rng(seed).standard_normal((240, 400)).astype(np.float32)
    blades = cv2.GaussianBlur(noise, (0, 0), sigmaX=0.8, sigmaY=4)
    grey = np.clip(128 + 45 * blades / blades.std(), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)
