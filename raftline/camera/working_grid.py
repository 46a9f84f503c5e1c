"""The grid that motion masks are computed on: the frame itself or, for a large frame, a coarser one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

_SIDE_POINTS = 640
"""Points along the longer side, about: chosen by hand for the time it takes, `python -m benchmarks.bench_motion_masks`
shows its effect."""
_NO_COLOR = 128
"""Chroma of grey."""


@dataclass(frozen=True)
class WorkingGrid:
    """Points at even distances over a frame, at most about 640 along a side, each for a square of `step_px`."""

    width: int
    """Width of the frame, px."""
    height: int
    """Height of the frame, px."""

    @cached_property
    def step_px(self) -> int:
        """Distance of neighbouring points."""
        return max(1, min(round(max(self.width, self.height) / _SIDE_POINTS), self.width, self.height))

    @property
    def first_px(self) -> float:
        """Both coordinates of the first point."""
        return (self.step_px - 1) / 2

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of points; a rest at the right and bottom that is narrower than a step has none."""
        return self.height // self.step_px, self.width // self.step_px

    @cached_property
    def to_px(self) -> np.ndarray:
        """(3, 3) float64: a point's (column, row) to px of the frame."""
        step, first = float(self.step_px), self.first_px
        return np.array([[step, 0.0, first], [0.0, step, first], [0.0, 0.0, 1.0]])

    @cached_property
    def from_px(self) -> np.ndarray:
        """(3, 3) float64: px of the frame to (column, row)."""
        return np.linalg.inv(self.to_px)

    def image(self, planes: Sequence[np.ndarray]) -> np.ndarray:
        """Reduce a frame to the grid's points.

        Args:
            planes: uint8 planes of the frame: three of yuv420p, one of packed RGB (H, W, 3), or one of grey (H, W).

        Returns:
            (h, w, 3) uint8: luma, blue and red chroma.
        """
        if len(planes) == 1 and planes[0].ndim == 3:
            return cv2.cvtColor(self._reduced(planes[0], 1), cv2.COLOR_RGB2YUV)
        luma = self._reduced(planes[0], 1)
        if len(planes) == 1:
            grey = np.full_like(luma, _NO_COLOR)
            return cv2.merge([luma, grey, grey])
        return cv2.merge([luma, self._reduced(planes[1], 2), self._reduced(planes[2], 2)])

    def full_size(self, mask: np.ndarray) -> np.ndarray:
        """Enlarge a mask (h, w) of the points to the frame: uint8 (height, width) of 0 and 255, with smooth edges."""
        if not mask.any():
            return np.zeros((self.height, self.width), np.uint8)
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
        """Resample a plane at the grid's points, without what lies beyond the last whole square."""
        rows, columns = self.shape
        used = plane[: -(-rows * self.step_px // subsampled), : -(-columns * self.step_px // subsampled)]
        if used.shape[:2] == (rows, columns):
            return used
        interpolation = cv2.INTER_LINEAR if used.shape[0] < rows else cv2.INTER_AREA
        return cv2.resize(used, (columns, rows), interpolation=interpolation)
