"""What moves all the time and goes nowhere, a flag, a screen, a fountain, is background under a camera that stands.

Numbers without a source were chosen by hand; `python -m benchmarks.bench_motion_events --only flag television` and the
clip highway of `python -m benchmarks.bench_motion_masks` show their effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

_MEMORY_SECONDS = 60.0
"""Time constant of the share of time in which a cell moves, once the camera has stood for so long."""
_LEAST_SECONDS = 8.0
"""Nothing is told of a camera that stands for less than this."""
_CORE_SHARE, _RIM_SHARE, _FORGOTTEN_SHARE = 0.5, 0.2, 0.1
"""Of the time: a cell that moves for more than the first moves always; what moves for more than the second around it
belongs to the same thing; a cell that was learned is forgotten below the last."""
_MOSTLY_CORE = 0.6
"""Of such a thing's cells, that have to move always: where things pass, cells at its rim move now and then. Flags have
0.9 and more, screens 0.65 to 0.85, a road full of cars 0.2 to 0.45."""
_LARGEST_SHARE = 0.06
"""Of the frame: what is larger is somebody near, or half the scene."""
_COHERENT = 0.6
"""Mean motion over mean speed: at the frame's rim, what goes one way more than this is a road."""


class MotionInPlace:
    """Learns, cell by cell, for how much of the time something moves there."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """The camera moved, or a new run begins."""
        self._seconds = 0.0
        self._share = np.zeros((0, 0), np.float32)
        """Of the time, in which each cell moves."""
        self._motion = np.zeros((0, 0, 3), np.float32)
        """Mean motion (u, v) of each cell, and its mean speed."""
        self._learned = np.zeros((0, 0), bool)

    def take(self, moving: np.ndarray, step_px: np.ndarray, step_seconds: float) -> np.ndarray | None:
        """Take the next frame.

        Args:
            moving: bool (rows, columns), the cells that move.
            step_px: float32 (rows, columns, 2), their motion.
            step_seconds: Time since the frame before.

        Returns:
            bool (rows, columns): cells that only move in place; None: there are none.
        """
        if self._share.shape != moving.shape:
            self.forget()
            self._share, self._motion = np.zeros(moving.shape, np.float32), np.zeros((*moving.shape, 3), np.float32)
            self._learned = np.zeros(moving.shape, bool)
        self._seconds += step_seconds
        rate = np.float32(max(step_seconds / self._seconds, 1 - np.exp(-step_seconds / _MEMORY_SECONDS)))
        self._share += rate * (moving - self._share)
        self._motion *= 1 - rate
        rows, columns = np.nonzero(moving)
        went = step_px[rows, columns]
        self._motion[rows, columns, :2] += rate * went
        self._motion[rows, columns, 2] += rate * np.hypot(went[:, 0], went[:, 1])
        self._learned &= self._share > _FORGOTTEN_SHARE
        if self._seconds >= _LEAST_SECONDS and np.any((self._share > _CORE_SHARE) & ~self._learned):
            self._learn()
        return self._learned if self._learned.any() else None

    def _learn(self) -> None:
        """Learn the things that move in place, each whole."""
        count, found, stats, _ = cv2.connectedComponentsWithStats((self._share > _RIM_SHARE).view(np.uint8))
        labels = np.asarray(found, np.intp)
        core = np.bincount(labels[self._share > _CORE_SHARE], minlength=count)
        sums = [np.bincount(labels.ravel(), part.ravel(), count) for part in np.moveaxis(self._motion, 2, 0)]
        one_way = np.hypot(sums[0], sums[1]) > _COHERENT * sums[2]
        rim = np.zeros(count, bool)
        for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
            rim[edge] = True
        areas = stats[:, cv2.CC_STAT_AREA]
        in_place = (core >= _MOSTLY_CORE * areas) & (areas <= _LARGEST_SHARE * labels.size) & ~(rim & one_way)
        in_place[0] = False
        self._learned |= in_place[labels]

    def full_state(self) -> dict[str, Any]:
        """All of it, as JSON values and arrays."""
        return dict(vars(self))

    def restore_full(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where `full_state` was taken."""
        vars(self).update(state)
