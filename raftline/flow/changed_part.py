"""The part of a frame whose flow is estimated: what changed by more than noise, where the camera stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import cv2
import numpy as np

from raftline.flow.grid import Cells
from raftline.flow.result import FlowResult
from raftline.flow.scene_change import Change
from raftline.kernels.cell import CELL_PX
from raftline.raft.padding import MINIMUM_SIZE_PX, Padding

_MARGIN_CELLS = 3
"""Around what changed, at least, where a part is chosen. Chosen by hand: so that the network sees what a thing moves
against, and somebody who walks through the frame of a camera fits into the smallest part."""
_LEAST_MARGIN_CELLS = 2
"""Up to which a part is kept: where it moves, the last frame is encoded once more."""
_LEAST_CELLS = MINIMUM_SIZE_PX // CELL_PX
"""Side of the smallest part. Sides of others are this times 1.5, 2, 3, 4, 6 ..., or the frame's: few, since each size
is compiled when it is first met."""
_NEARLY_WHOLE = 0.75
"""Of the frame's side, above which a part has all of it."""
_LARGEST_SHARE = 0.6
"""Of the frame: a larger part saves less than moving it to and fro costs. Chosen by hand."""
_STRUCTURE_LEVELS = 12.0
"""Grey levels between a block and the next, from which on it shows whether the camera moves: twice what a block
with noise may differ by."""
_MOVED_SHARE = 0.5
"""Of the blocks that show it: where more have changed, the camera may have moved. Chosen by hand."""


class Box(NamedTuple):
    """Part of a frame, as shares of its height and width, 0 to 1."""

    top: float
    left: float
    bottom: float
    right: float

    def with_other(self, other: Box | None) -> Box:
        """The smallest that holds both."""
        if other is None:
            return self
        return Box(*map(min, self[:2], other[:2]), *map(max, self[2:], other[2:]))


class Part(NamedTuple):
    """Part of a grid of cells."""

    top: int
    left: int
    rows: int
    columns: int

    def of(self, values: Any, cell: int = 1) -> Any:
        """The part of an array or a tensor (..., H, W), which has `cell` values for each side of a cell; a view."""
        top, left = self.top * cell, self.left * cell
        return values[..., top : top + self.rows * cell, left : left + self.columns * cell]

    def placed(self, values: np.ndarray, cells: Cells, elsewhere: float = 0.0) -> np.ndarray:
        """Values (rows, columns, ...) of the part in the whole grid."""
        whole = np.full((cells.rows, cells.columns, *values.shape[2:]), elsewhere, values.dtype)
        whole[self.top : self.top + self.rows, self.left : self.left + self.columns] = values
        return whole

    def holds(self, other: Part) -> bool:
        """Whether the other part lies within this one."""
        down, right = other.top - self.top, other.left - self.left
        return down >= 0 and right >= 0 and down + other.rows <= self.rows and right + other.columns <= self.columns


def changed_box(
    mean: np.ndarray, differs: Sequence[np.ndarray], crept: Sequence[np.ndarray], limits: Sequence[np.ndarray]
) -> Box | None:
    """Where a frame, of which some block does, differs by more than noise; all of it where the camera may have moved.

    Args:
        mean: float32 (rows, columns), means of the blocks of luma.
        differs: float32 (rows, columns) >= 0, how far blocks of each plane, then px of luma, are from a recent frame.
        crept: the same of each plane, from another frame.
        limits: up to which each of `differs` is noise.
    """
    if _may_have_moved(mean, differs, limits):
        return Box(0.0, 0.0, 1.0, 1.0)
    return _where([*differs, *crept], [*limits, *limits[:-1]])


def _where(differs: Sequence[np.ndarray], limits: Sequence[np.ndarray]) -> Box | None:
    """Where any block exceeds its limit; the arrays divide the same frame, each into blocks of its own."""
    found: Box | None = None
    for each, limit in zip(differs, limits, strict=True):
        exceeds = each > limit
        if exceeds.any():
            (top, bottom), (left, right) = (_reach(np.asarray(exceeds.any(axis=axis))) for axis in (1, 0))
            found = Box(top, left, bottom, right).with_other(found)
    return found


def _may_have_moved(mean: np.ndarray, differs: Sequence[np.ndarray], limits: Sequence[np.ndarray]) -> bool:
    """Whether the camera may have: few blocks with structure, whose means of luma are given, stay as they are."""
    around = cv2.morphologyEx(mean, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    structured = np.asarray(around) > _STRUCTURE_LEVELS
    changed = (differs[0] > limits[0]) | (differs[-1] > limits[-1])
    return bool(np.count_nonzero(structured & changed) >= _MOVED_SHARE * np.count_nonzero(structured))


def _reach(exceeds: np.ndarray) -> tuple[float, float]:
    """Begin and end along an axis, as shares."""
    at = np.flatnonzero(exceeds)
    return float(at[0]) / len(exceeds), float(at[-1] + 1) / len(exceeds)


class PartChoice:
    """Follows what changes.

    Args:
        able: whether parts are chosen at all.
    """

    def __init__(self, able: bool) -> None:
        self.able = able
        self.reset()

    def reset(self) -> None:
        """The next frame is the first of a run."""
        self.part: Part | None = None
        """That of the last frame; None: all of it."""
        self._changed: Box | None = None
        """In the last frame."""

    def full_state(self) -> dict[str, Any]:
        """All of it but the option, as JSON values."""
        return {"part": self.part and list(self.part), "changed": self._changed and list(self._changed)}

    def restore_full(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where `full_state` was taken."""
        self.part = state["part"] and Part(*state["part"])
        self._changed = state["changed"] and Box(*state["changed"])

    def choose(self, change: Change, changed: Box | None, cells: Cells) -> bool:
        """Choose the part of the next frame. Returns whether it is another one than before.

        Args:
            change: from the last frame to this one; only where flow goes on a part is enough.
            changed: where the frame differs by more than noise from those before; None: nowhere.
            cells: of the frame.
        """
        before, self.part = self.part, self._chosen(changed, cells) if change == "continuous" and self.able else None
        return self.part != before

    def _chosen(self, changed: Box | None, cells: Cells) -> Part | None:
        last, self._changed = self._changed, changed
        seen = last if changed is None else changed.with_other(last)
        if seen is None:
            return self.part
        whole = Part(0, 0, cells.rows, cells.columns)
        part = _around(_covered(seen, cells, _MARGIN_CELLS), whole)
        if _area(part) > _LARGEST_SHARE * _area(whole):
            return None
        now = self.part
        keeps = now is not None and _area(now) <= _area(part) and now.holds(_covered(seen, cells, _LEAST_MARGIN_CELLS))
        return now if keeps else part


def whole_result(result: FlowResult, part: Part | None, cells: Cells) -> FlowResult:
    """The result of a part as one of the frame, which does not move elsewhere."""
    if part is None:
        return result
    trusted = None if result.confidence is None else part.placed(result.confidence, cells, 1.0)
    padding = Padding.for_size(cells.height, cells.width)
    return replace(result, grid_px=part.placed(result.grid_px, cells), confidence=trusted, padding=padding)


def _covered(box: Box, cells: Cells, margin: int) -> Part:
    """The cells that a box of the frame touches, with a margin within the grid."""
    (top, rows), (left, columns) = (
        _touched(begin * side + outside, end * side + outside, margin, count)
        for begin, end, side, outside, count in (
            (box.top, box.bottom, cells.height, cells.top, cells.rows),
            (box.left, box.right, cells.width, cells.left, cells.columns),
        )
    )
    return Part(top, left, rows, columns)


def _touched(begin_px: float, end_px: float, margin: int, count: int) -> tuple[int, int]:
    """The first cell along one axis, and how many there are."""
    first = max(0, int(begin_px // CELL_PX) - margin)
    return first, min(count, int(-(-end_px // CELL_PX)) + margin) - first


def _around(covered: Part, whole: Part) -> Part:
    """The smallest part that is allowed and holds what is covered, which lies in its middle."""
    (top, rows), (left, columns) = (
        _widened(begin, length, count)
        for begin, length, count in (
            (covered.top, covered.rows, whole.rows),
            (covered.left, covered.columns, whole.columns),
        )
    )
    return Part(top, left, rows, columns)


def _widened(begin: int, length: int, count: int) -> tuple[int, int]:
    side = _LEAST_CELLS
    while side < length:
        side = side * 3 // 2 if side & (side - 1) == 0 else side * 4 // 3
    side = count if side > _NEARLY_WHOLE * count else side
    return min(max(0, begin - (side - length) // 2), count - side), side


def _area(part: Part) -> int:
    return part.rows * part.columns
