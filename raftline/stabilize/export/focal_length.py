"""The focal length of a camera, from how its turns bend the image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from raftline.stabilize.export.camera_steps import CameraStep
from raftline.stabilize.export.rotation import focal_px, turn_error

_NARROWEST_DEGREES, _WIDEST_DEGREES = 20.0, 130.0
"""Across the frame: from a long lens to an action camera's. Chosen by hand."""
_CANDIDATES = 45
"""Fields of view that are tried: one every 2.5 degrees."""
_WINDOW, _MOST_WINDOWS = 10, 40
"""Steps that are taken together, so that the turn is large enough to bend the image; and how many such turns are looked
at, those that turn most. Chosen by hand."""
_CLEAR = 2.0
"""Errors at both ends of the range are so many times that of the best, or nothing is known. Chosen by hand."""
_LEAST_TURN_DEGREES = 1.0
"""Of a window, about an axis across the view. Chosen by hand: less bends the image by fractions of a px."""


def estimated_focal_px(steps: Sequence[CameraStep]) -> float | None:
    """The focal length under which the motions of a path are most like turns of a camera.

    Args:
        steps: Of a path that was measured with perspective (`model: homography`).

    Returns:
        px; None where the path has no perspective, turns too little, or moves as no turning camera does.
    """
    width, height = steps[0].width, steps[0].height
    motions = _windows(steps)
    views = np.linspace(_NARROWEST_DEGREES, _WIDEST_DEGREES, _CANDIDATES)
    if not motions:
        return None
    focals = [focal_px(width, view) for view in views]
    errors = np.array([[turn_error(motion, width, height, focal) for motion in motions] for focal in focals])
    total = np.sqrt(np.mean(errors**2, axis=1))
    best = int(np.argmin(total))
    if not 0 < best < _CANDIDATES - 1 or min(total[0], total[-1]) < _CLEAR * total[best]:
        return None
    a, b, c = total[best - 1 : best + 2] ** 2
    return focal_px(width, float(views[best] + (views[1] - views[0]) * (a - c) / (2 * (a - 2 * b + c))))


def _windows(steps: Sequence[CameraStep]) -> list[np.ndarray]:
    """Motions over some steps each, those that turn most, of paths with perspective."""
    found: list[np.ndarray] = []
    for first in range(0, len(steps) - _WINDOW, _WINDOW // 2):
        window = steps[first + 1 : first + 1 + _WINDOW]
        if any(step.starts_path for step in window):
            continue
        motion = np.eye(3)
        for step in window:
            motion = step.camera @ motion
        motion /= motion[2, 2]
        if motion[2, :2].any():
            found.append(motion)
    width = steps[0].width
    least_px = math.radians(_LEAST_TURN_DEGREES) * focal_px(width, (_NARROWEST_DEGREES + _WIDEST_DEGREES) / 2)
    found = [motion for motion in found if _shift_px(motion, steps[0]) > least_px]
    return sorted(found, key=lambda motion: _shift_px(motion, steps[0]))[-_MOST_WINDOWS:]


def _shift_px(motion: np.ndarray, step: CameraStep) -> float:
    """How far the middle of the frame moves."""
    middle = np.array([(step.width - 1) / 2, (step.height - 1) / 2, 1.0])
    moved = motion @ middle
    return float(np.hypot(*(moved[:2] / moved[2] - middle[:2])))
