"""The grid that motion is looked for on: the frame itself, or, of a large one, every few px of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

_SIDE_POINTS = 640
_NO_COLOR = 128


@dataclass(frozen=True)
class WorkingGrid:
    """Points at even distances over a frame, each standing for a square of `step_px`, at most about 640 across."""

    width: int
    """px of the frame"""
    height: int
    """px of the frame"""

    @cached_property
    def step_px(self) -> int:
        """Distance of the points."""
        return max(1, min(round(max(self.width, self.height) / _SIDE_POINTS), self.width, self.height))

    @property
    def first_px(self) -> float:
        """x and y of the first point."""
        return (self.step_px - 1) / 2

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns); a rest at the right and bottom that is narrower than a step has no points."""
        return self.height // self.step_px, self.width // self.step_px

    @cached_property
    def to_px(self) -> np.ndarray:
        """(3, 3): a point's (column, row) to px of the frame."""
        step, first = float(self.step_px), self.first_px
        return np.array([[step, 0.0, first], [0.0, step, first], [0.0, 0.0, 1.0]])

    @cached_property
    def from_px(self) -> np.ndarray:
        """(3, 3): px of the frame to (column, row)."""
        return np.linalg.inv(self.to_px)

    def picture(self, planes: Sequence[np.ndarray]) -> np.ndarray:
        """uint8 (h, w, 3) luma, blue, red of a frame's planes: yuv420p, packed RGB, or grey."""
        if len(planes) == 1 and planes[0].ndim == 3:
            return cv2.cvtColor(self._reduced(planes[0], 1), cv2.COLOR_RGB2YUV)
        luma = self._reduced(planes[0], 1)
        if len(planes) == 1:
            grey = np.full_like(luma, _NO_COLOR)
            return cv2.merge([luma, grey, grey])
        return cv2.merge([luma, self._reduced(planes[1], 2), self._reduced(planes[2], 2)])

    def full_size(self, mask: np.ndarray) -> np.ndarray:
        """A mask (h, w) as uint8 (height, width) of 0 and 255, with smooth edges between the points."""
        values = mask.astype(np.uint8) * np.uint8(255)
        if self.step_px == 1:
            return values
        rows, columns = self.shape
        size = (columns * self.step_px, rows * self.step_px)
        large = cv2.resize(values, size, interpolation=cv2.INTER_LINEAR)
        _, large = cv2.threshold(large, 127, 255, cv2.THRESH_BINARY)
        rest = (0, self.height - size[1], 0, self.width - size[0])
        return cv2.copyMakeBorder(large, *rest, cv2.BORDER_REPLICATE) if any(rest) else large

    def _reduced(self, plane: np.ndarray, subsampled: int) -> np.ndarray:
        """A plane at the grid's points; what lies beyond the last whole square is left out."""
        rows, columns = self.shape
        used = plane[: -(-rows * self.step_px // subsampled), : -(-columns * self.step_px // subsampled)]
        if used.shape[:2] == (rows, columns):
            return used
        enlarged = used.shape[0] < rows
        how = cv2.INTER_LINEAR if enlarged else cv2.INTER_AREA
        return cv2.resize(used, (columns, rows), interpolation=how)
