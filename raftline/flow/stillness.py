"""Whether anything in view of a camera that stands changes by more than noise: where nothing does, nothing moves.

Looking takes a fiftieth of the time that flow takes. Constants without another source were tuned by hand on still
video of a photograph with a walker in it now and then: white noise of sigma 0.5 to 10, H.264 from 0.06 to 15 bits a px,
the walker at 12 to 100 % of its contrast, 26 to 120 px tall, at 14 to 90 px/s. On all of them everything is seen that
masks see, and by a wide margin.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from raftline.flow.changed_part import Box, changed_box
from raftline.flow.median import median
from raftline.kernels.compiled import compiled
from raftline.state_trees import from_tree, tree_of

_BLOCKS_OF_SIDE = 96
"""Blocks along the longer side of the frame. The smallest object that counts by default, 0.0008 of the frame, is two
blocks wide and high, so that it covers one whole."""
_LEAST_BLOCK_PX = 4
_ANCHOR_SECONDS = 0.75
"""Age at which the recent frame that others are compared with is replaced. Within it even slow motion, 5 px/s, changes
blocks clearly."""
_LEAST_LEVELS = 1.5
"""Grey levels that do not count, whatever the noise: rounding and coding."""
_OF_PEAK = 1.5
"""Times the strongest noise seen lately that do not count: the next frame may have a little more of it."""
_MOST_LEVELS = 6.0
"""Grey levels beyond the noise of most blocks that always count: a mask needs 8 to tell an object from its background,
and more where the background itself is as noisy as that."""
_MOST_OF_NOISE = 2.0
"""The same in units of that noise, if more: a mask needs 2.5, which are 2.8 sigma of white noise."""
_MOST_NOISE_LEVELS = 12.0
"""Limits what is taken to be the noise of most blocks: mean difference of px, that of white noise of sigma 10."""
_NOISE_SECONDS = 60.0
"""Time constant of forgetting noise: key frames, at which all blocks change, come at least so often."""
_UNREST_SECONDS = 5.0
"""The same for the noise of most blocks while things move: with most of the image moving, it may be none."""
_OPTIONS = frozenset(("_still_seconds", "_finds_changed"))
"""Attributes of a detector that are no state."""
_DEFAULT_STEP_SECONDS = 1.0 / 30.0
"""For frames without a time, and for time that stands or runs backwards."""


@dataclass(frozen=True)
class _Look:
    """What is compared of a frame."""

    luma: np.ndarray
    """uint8 (H, W)."""
    means: tuple[np.ndarray, ...]
    """float32 (rows, columns): means of blocks, of luma and, where there is color, of both chroma planes."""


class StillnessDetector:
    """Judges the frames of one stream by their blocks, each frame against two others.

    A recent one shows what moves. The last one that was not still lets what creeps add up until it counts. How much
    noise a block has is learned from it and its neighbours, but limited, so that no noise makes the detector blind to
    what a mask would show.
    """

    def __init__(self, still_seconds: float, finds_changed: bool = True) -> None:
        """Begin with no frame.

        Args:
            still_seconds: Nothing may have changed for so long, 0.75 s at least.
            finds_changed: `changed` is wanted; it takes a quarter of the time of a frame that changes.
        """
        self._still_seconds = max(still_seconds, _ANCHOR_SECONDS)
        self._finds_changed = finds_changed
        self.reset()

    @property
    def still(self) -> bool:
        """The verdict on the last frame."""
        return self._unchanged_seconds >= self._still_seconds

    def reset(self) -> None:
        """Forget all frames, as after a gap."""
        self._recent: _Look | None = None
        self._awake: tuple[np.ndarray, ...] = ()
        """Means of the last frame that was not still."""
        self._peaks: list[np.ndarray] = []
        """float32 (rows, columns) for each of `means`, then for the px of luma: the strongest noise seen lately."""
        self._noise_levels = 0.0
        """Of most blocks."""
        self._last_seconds: float | None = None
        self._recent_age_seconds = self._unchanged_seconds = 0.0
        self.most_levels = np.inf
        """Mean difference in grey levels of the block of the last frame that differs most from the recent one."""
        self.changed: Box | None = None
        """Where the last frame differs from the recent one, or from the one before, by more than noise; all of it where
        the camera may have moved. None: nowhere, or it is not wanted."""

    def full_state(self) -> dict[str, Any]:
        """All of it, as JSON values and arrays, which are no copies."""
        return {name: tree_of(value) for name, value in vars(self).items() if name not in _OPTIONS}

    def restore_full(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where `full_state` was taken."""
        vars(self).update(state)
        self._recent, self._awake = from_tree(_Look | None, state["_recent"]), tuple(state["_awake"])
        self.changed = state["changed"] and Box(*state["changed"])

    def is_still(self, planes: Sequence[np.ndarray], seconds: float | None) -> bool:
        """Whether a frame and those before it show nothing new but noise.

        Args:
            planes: uint8 planes of the frame: Y (H, W), U and V of YUV 4:2:0, or one RGB (H, W, 3), or one grey (H, W).
                They are not kept. Another size than before begins anew.
            seconds: Presentation time; None: unknown.
        """
        step_seconds = self._step(seconds)
        planes = _planar(planes)
        if self._recent is None or self._recent.luma.shape != planes[0].shape:
            self._begin(planes)
            return False
        means, off = _compared(planes, self._recent.luma)
        self.most_levels = float(off.max())
        differs = [*(cv2.absdiff(now, then) for now, then in zip(means, self._recent.means, strict=True)), off]
        crept = [cv2.absdiff(now, then) for now, then in zip(means, self._awake, strict=True)]
        limits, exceeding = self._limits(differs, [*crept, off], step_seconds)
        finds = exceeding and self._finds_changed
        self.changed = changed_box(means[0], differs, crept, limits) if finds else None
        self._unchanged_seconds = 0.0 if exceeding else self._unchanged_seconds + step_seconds
        self._recent_age_seconds += step_seconds
        if self._recent_age_seconds >= _ANCHOR_SECONDS:
            self._recent, self._recent_age_seconds = _Look(planes[0].copy(), means), 0.0
        if not self.still:
            self._awake = means
        return self.still

    def _step(self, seconds: float | None) -> float:
        before, self._last_seconds = self._last_seconds, seconds
        step_seconds = 0.0 if seconds is None or before is None else seconds - before
        return step_seconds if step_seconds > 0 else _DEFAULT_STEP_SECONDS

    def _begin(self, planes: Sequence[np.ndarray]) -> None:
        means, off = _compared(planes, planes[0])
        self._recent, self._awake = _Look(planes[0].copy(), means), means
        self._peaks = [np.zeros_like(values) for values in (*means, off)]
        self._noise_levels = self._recent_age_seconds = self._unchanged_seconds = 0.0

    def _limits(
        self, differs: Sequence[np.ndarray], crept: Sequence[np.ndarray], step_seconds: float
    ) -> tuple[list[np.ndarray], int]:
        """Differences up to which a block shows noise, and how often they are exceeded.

        Then the frame's own noise is taken up, unless that is too much.
        """
        kept = _kept(step_seconds, _NOISE_SECONDS if self.still else _UNREST_SECONDS)
        self._noise_levels = _at_least_median(kept * self._noise_levels, differs[-1])
        noise_levels = min(self._noise_levels, _MOST_NOISE_LEVELS)
        most = np.float32(max(noise_levels + _MOST_LEVELS, _MOST_OF_NOISE * noise_levels))
        kept = np.float32(_kept(step_seconds, _NOISE_SECONDS))
        limits = [np.empty_like(peaks) for peaks in self._peaks]
        each = zip(differs, crept, self._peaks, limits, strict=True)
        return limits, sum(_exceeding(*arrays, most, kept) for arrays in each)


def _kept(step_seconds: float, time_constant_seconds: float) -> float:
    return math.exp(-step_seconds / time_constant_seconds)


def _at_least_median(level: float, values: np.ndarray) -> float:
    """`level`, or the median of `values` if that is more: to see that most are below takes a tenth of finding it."""
    most_are_below = np.count_nonzero(values < level) > values.size // 2
    return level if most_are_below else max(level, median(values))


def _planar(planes: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    return planes if planes[0].ndim == 2 else cv2.split(cv2.cvtColor(planes[0], cv2.COLOR_RGB2YUV))


def _compared(planes: Sequence[np.ndarray], recent: np.ndarray) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Divide a frame into blocks and compare it with luma (H, W) from before.

    Returns:
        Means of the blocks of each plane, and mean absolute differences of those of luma, float32 (rows, columns).
    """
    means = [np.empty(_blocks(plane), np.float32) for plane in planes]
    off = np.empty(_blocks(planes[0]), np.float32)
    _compare(planes[0], recent, _side(planes[0]), means[0], off)
    for plane, mean in zip(planes[1:], means[1:], strict=True):
        _average(plane, _side(plane), mean)
    return tuple(means), off


def _side(plane: np.ndarray) -> int:
    """Side of the blocks of a plane (H, W), px."""
    return max(_LEAST_BLOCK_PX, round(max(plane.shape) / _BLOCKS_OF_SIDE))


def _blocks(plane: np.ndarray) -> tuple[int, int]:
    """Rows and columns of the blocks of a plane (H, W)."""
    side = _side(plane)
    return max(1, plane.shape[0] // side), max(1, plane.shape[1] // side)


@compiled
def _compare(plane: Any, other: Any, side: Any, mean: Any, off: Any) -> None:
    """Means over blocks of (H, W) into `mean`, of absolute differences from `other` into `off`.

    The last blocks of a row and column take in what is left over. Sums of columns come first: long rows vectorize.
    """
    rows, columns = mean.shape
    height, width = plane.shape
    values, differences = np.empty(width, np.int32), np.empty(width, np.int32)
    for row in range(rows):
        top, bottom = row * side, height if row == rows - 1 else (row + 1) * side
        for j in range(width):  # spelt out, as all loops here: array operations take longer to load
            values[j] = differences[j] = 0
        for i in range(top, bottom):
            for j in range(width):
                value = np.int32(plane[i, j])
                values[j] += value
                differences[j] += abs(value - np.int32(other[i, j]))
        for column in range(columns):
            left, right = column * side, width if column == columns - 1 else (column + 1) * side
            of_values = of_differences = np.int32(0)
            for j in range(left, right):
                of_values = np.int32(of_values + values[j])
                of_differences = np.int32(of_differences + differences[j])
            area = np.float32((bottom - top) * (right - left))
            mean[row, column], off[row, column] = np.float32(of_values) / area, np.float32(of_differences) / area


@compiled
def _average(plane: Any, side: Any, mean: Any) -> None:
    """Means over blocks, as those of `_compare`."""
    rows, columns = mean.shape
    height, width = plane.shape
    values = np.empty(width, np.int32)
    for row in range(rows):
        top, bottom = row * side, height if row == rows - 1 else (row + 1) * side
        for j in range(width):
            values[j] = 0
        for i in range(top, bottom):
            for j in range(width):
                values[j] += np.int32(plane[i, j])
        for column in range(columns):
            left, right = column * side, width if column == columns - 1 else (column + 1) * side
            total = np.int32(0)
            for j in range(left, right):
                total = np.int32(total + values[j])
            mean[row, column] = np.float32(total) / np.float32((bottom - top) * (right - left))


@compiled
def _exceeding(differs: Any, crept: Any, peaks: Any, limits: Any, most: Any, kept: Any) -> Any:
    """Count the blocks (h, w) where a difference exceeds its limit: the noise of it and its neighbors, at most `most`.

    Then replace `peaks`, the strongest noise seen lately, float32 >= 0, by `kept` of it or the difference, if more.
    """
    rows, columns = peaks.shape
    above, around = np.empty(columns, np.float32), np.empty(columns + 2, np.float32)
    around[0] = around[columns + 1] = np.float32(0.0)
    count = 0
    for j in range(columns):
        above[j] = peaks[0, j]
    for i in range(rows):
        below = peaks[min(i + 1, rows - 1)]
        for j in range(columns):
            around[j + 1] = max(max(above[j], peaks[i, j]), below[j])
            above[j] = peaks[i, j]
        for j in range(columns):
            noise = max(max(around[j], around[j + 1]), around[j + 2])
            limit = limits[i, j] = min(np.float32(_LEAST_LEVELS) + np.float32(_OF_PEAK) * noise, most)
            count += (differs[i, j] > limit) | (crept[i, j] > limit)
            lately = differs[i, j] if differs[i, j] < most else np.float32(0.0)
            peaks[i, j] = max(kept * peaks[i, j], lately)
    return count
