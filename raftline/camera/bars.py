"""Black bars around a film: letterbox above and below, pillarbox beside. They do not move with the camera.

Constants were chosen by hand; the clips they were tried on are in `tests/raftline/camera/test_bars.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_DARKEST, _EVENNESS = 40, 12
"""Grey levels: the brightest that a bar may be, and how much it may vary: coded black is 16, and ripples."""
_LEAST_SHARE = 0.01
"""Of a side: a narrower bar is a seam, which any zoom hides."""
_LEAST_CONTENT = 0.3
"""Of a side that shows something; less is a dark frame, which tells nothing of bars."""


@dataclass(frozen=True)
class Bars:
    """Widths of the bars, px, even so that planes of half the size have bars, too."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return any(self.to_json())

    def to_json(self) -> tuple[int, int, int, int]:
        """Return left, top, right, bottom."""
        return self.left, self.top, self.right, self.bottom

    def narrowest(self, other: Bars) -> Bars:
        """Return the bars that both have."""
        return Bars(*(min(pair) for pair in zip(self.to_json(), other.to_json(), strict=True)))

    def content_size(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height, px, of what lies between the bars of a frame."""
        return width - self.left - self.right, height - self.top - self.bottom

    def cells(self, rows: int, columns: int, step_px: int, size: tuple[int, int]) -> np.ndarray:
        """Return which cells of `step_px` lie wholly between the bars of a frame of `size` px, bool (rows, columns)."""
        width, height = size
        x, y = np.arange(columns) * step_px, np.arange(rows) * step_px
        beside = (x >= self.left) & (np.minimum(x + step_px, width) <= width - self.right)
        between = (y >= self.top) & (np.minimum(y + step_px, height) <= height - self.bottom)
        return between[:, None] & beside[None]

    def to_content(self, matrix: np.ndarray) -> np.ndarray:
        """Express a transform (..., 3, 3) of px of the frame in px of what lies between the bars."""
        return self._shift(-1) @ matrix @ self._shift(1)

    def to_frame(self, matrix: np.ndarray) -> np.ndarray:
        """Invert `to_content`."""
        return self._shift(1) @ matrix @ self._shift(-1)

    def cut(self, planes: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return what lies between the bars, as views; planes as in `raftline.stabilize.warp.warp.warp_planes`."""
        return [plane[rows, columns] for plane, (rows, columns) in zip(planes, self._places(planes), strict=True)]

    def around(self, content: Sequence[np.ndarray], planes: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """Return copies of `planes` with `content` between the bars."""
        framed = tuple(plane.copy() for plane in planes)
        for plane, place, inner in zip(framed, self._places(planes), content, strict=True):
            plane[place] = inner
        return framed

    def _places(self, planes: Sequence[np.ndarray]) -> list[tuple[slice, slice]]:
        width, height = planes[0].shape[1], planes[0].shape[0]
        places = []
        for at in range(len(planes)):
            half = 2 if at else 1
            right, bottom = -(-(width - self.right) // half), -(-(height - self.bottom) // half)
            places.append((slice(self.top // half, bottom), slice(self.left // half, right)))
        return places

    def _shift(self, sign: int) -> np.ndarray:
        return np.array([[1.0, 0.0, sign * self.left], [0.0, 1.0, sign * self.top], [0.0, 0.0, 1.0]])


def bars_of(luma: np.ndarray) -> Bars | None:
    """Find the bars of a frame's luma, uint8 (H, W); None for a frame so dark that it shows none."""
    height, width = luma.shape
    top, bottom = _dark_rows(luma), _dark_rows(luma[::-1])
    if height - top - bottom < _LEAST_CONTENT * height:
        return None
    between = luma[top : height - bottom].T
    left, right = _dark_rows(between), _dark_rows(between[::-1])
    if width - left - right < _LEAST_CONTENT * width:
        return None
    sides = ((left, width), (top, height), (right, width), (bottom, height))
    return Bars(*(_even(count) if count >= _LEAST_SHARE * side else 0 for count, side in sides))


def _even(count: int) -> int:
    return count // 2 * 2


def _dark_rows(luma: np.ndarray) -> int:
    """Return how many rows from the first one on are one even black."""
    darkest, brightest = 255, 0
    for at, row in enumerate(luma):
        darkest, brightest = min(darkest, int(row.min())), max(brightest, int(row.max()))
        if brightest > _DARKEST or brightest - darkest > _EVENNESS:
            return at
    return len(luma)
