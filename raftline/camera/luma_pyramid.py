"""A frame's blurred luma, coarse and fine, and its points of strongest gradient: what `direct_alignment` compares.

Constants without another reason were chosen by hand; `python -m benchmarks.bench_stabilization --parts known` shows
their effect on steadiness, `--parts speed` on time.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from raftline.camera.transforms import centred
from raftline.flow.grid import to_level
from raftline.kernels.cell import CELL_PX
from raftline.kernels.compiled import compiled

_MAX_SIDE_PX = 640
"""Longer side of the fine level, px: the width of the benchmark's clips."""
_BLUR_PX = 0.8
"""Sigma of the Gaussian that keeps noise and aliasing out of the gradients."""
_COARSE_FACTOR = 2
"""Of the coarse level; `direct_alignment` begins where the flow has it right to a few px."""
_MIN_SIDE_PX = 16
"""Shorter side of a level that is worth comparing."""
_MAX_POINTS = 8_000
"""Points compared, at about this many."""

_RANKED = 7
"""One in so many blocks tells which gradients are among the strongest; odd, to fall on all columns of most widths."""


@dataclass(frozen=True)
class LumaPyramid:
    """Two levels of a frame's luma; made once per frame, used with the one before and the one after."""

    levels: tuple[np.ndarray, ...]
    """(h, w) float32 each, blurred, from coarse to fine; one alone for a tiny frame."""
    width: int
    """Width of the frame, px."""
    height: int
    """Height of the frame, px."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frame, px."""
        return self.width, self.height

    @classmethod
    def of(cls, luma: np.ndarray) -> LumaPyramid:
        """Build the pyramid of a frame's luma, (H, W) uint8."""
        height, width = luma.shape
        scale = min(1.0, _MAX_SIDE_PX / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        fine = cv2.resize(luma, size, interpolation=cv2.INTER_AREA) if scale < 1 else luma
        half = (max(1, fine.shape[1] // _COARSE_FACTOR), max(1, fine.shape[0] // _COARSE_FACTOR))
        coarse = cv2.resize(fine, half, interpolation=cv2.INTER_AREA)
        large = [level for level in (coarse, fine) if min(level.shape) >= _MIN_SIDE_PX] or [fine]
        return cls(tuple(_blurred(level) for level in large), width, height)

    def to_level(self, level: int) -> np.ndarray:
        """Return the transform (3, 3) from px of the frame to px of a level; the areas of pixels coincide."""
        return to_level(self.width, self.height, *self.levels[level].shape[::-1])

    def points(self, level: int, cell_weights: np.ndarray) -> AlignmentPoints:
        """Pick the trusted points of a level with the strongest gradients, at most one of each 2 x 2 px.

        Args:
            level: Index into `levels`.
            cell_weights: (ceil(H/8), ceil(W/8)) >= 0: trust in each 8 px cell of the frame.
        """
        image = self.levels[level]
        height, width = image.shape
        rows, columns = (
            _cells(self.height, height, cell_weights.shape[0]),
            _cells(self.width, width, cell_weights.shape[1]),
        )
        trust = cell_weights.astype(np.float32)
        blocks = (height // 2) * (width // 2)
        strength, places = np.empty(blocks, np.float32), np.empty(blocks, np.int32)
        _strongest(image, trust, rows, columns, strength, places)
        least = _of_rank(strength, _MAX_POINTS) if blocks > _MAX_POINTS else np.float32(0.0)
        scale = 1.0 / centred(width, height)[1]
        found = _gather(image, trust, rows, columns, strength, places, least, scale)
        return AlignmentPoints(found[:2], found[2], found[3:5], found[5])


@functools.lru_cache(maxsize=16)
def _cells(whole_px: int, level_px: int, cells: int) -> np.ndarray:
    """Return the 8 px cell of a frame's side that each px of a level's side lies in, (level_px,)."""
    return np.minimum(np.arange(level_px) * whole_px // (level_px * CELL_PX), cells - 1)


@dataclass(frozen=True)
class AlignmentPoints:
    """The points of the earlier image that are compared with the later one."""

    local: np.ndarray
    """(2, N) float64, centred in the level (see `transforms.centred`)."""
    value: np.ndarray
    """(N,) float64 grey levels."""
    gradient: np.ndarray
    """(2, N) float64 grey levels per px, along x and y."""
    trust: np.ndarray
    """(N,) float64 >= 0."""

    def every(self, count: int) -> AlignmentPoints:
        """Return one point in `count`."""
        picked = (each[..., ::count] for each in (self.local, self.value, self.gradient, self.trust))
        return AlignmentPoints(*(np.ascontiguousarray(each) for each in picked))


def _of_rank(values: np.ndarray, rank: int) -> np.ndarray:
    """Return about the `rank`-th largest of values (N,), that of one in `_RANKED`: a part of the time."""
    few = values[::_RANKED]
    place = max(len(few) - rank // _RANKED, 0)
    return np.partition(few, place)[place]


def _blurred(luma: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(np.asarray(luma, np.float32), (0, 0), _BLUR_PX)


@compiled
def _strongest(image: Any, trust: Any, cell_rows: Any, cell_columns: Any, strength: Any, places: Any) -> None:
    """Find the strongest trusted gradient, squared, of each 2 x 2 px of an image float32 (h, w), and its flat index.

    It is 0 at the image's border.
    """
    height, width = image.shape
    here, cells, row_of_cells = np.zeros((2, width), np.float32), np.zeros(width, np.float32), -1
    blocks_each_row = width // 2
    for block_row in range(height // 2):
        for k in range(2):
            i = 2 * block_row + k
            if i == 0 or i == height - 1:
                here[k] = 0.0
                continue
            if cell_rows[i] != row_of_cells:  # spread over the row's px, so that what follows vectorizes
                row_of_cells = cell_rows[i]
                for j in range(width):
                    cells[j] = trust[row_of_cells, cell_columns[j]]
            for j in range(1, width - 1):
                x = (image[i, j + 1] - image[i, j - 1]) * np.float32(0.5)
                y = (image[i + 1, j] - image[i - 1, j]) * np.float32(0.5)
                here[k, j] = (x * x + y * y) * cells[j]
        for block in range(blocks_each_row):
            left = 2 * block
            upper = left + (here[0, left] < here[0, left + 1])
            lower = left + (here[1, left] < here[1, left + 1])
            down = here[0, upper] < here[1, lower]
            at = block_row * blocks_each_row + block
            strength[at] = here[1, lower] if down else here[0, upper]
            places[at] = (2 * block_row + down) * width + (lower if down else upper)


@compiled
def _gather(
    image: Any, trust: Any, cell_rows: Any, cell_columns: Any, strength: Any, places: Any, least: Any, scale: Any
) -> Any:
    """Return x and y, centred, value, gradient along x and y, and trust (6, N) of those of the places (blocks,), flat
    indices, whose strength is at least `least`.
    """
    height, width = image.shape
    count = 0
    for n in range(places.size):
        count += strength[n] >= least and strength[n] > 0.0
    found, at = np.empty((6, count)), 0
    for n in range(places.size):
        if not (strength[n] >= least and strength[n] > 0.0):
            continue
        i, j = np.uint32(places[n]) // np.uint32(width), np.uint32(places[n]) % np.uint32(width)
        found[0, at] = j * scale - scale * (width - 1) / 2
        found[1, at] = i * scale - scale * (height - 1) / 2
        found[2, at] = image[i, j]
        found[3, at] = (image[i, j + np.uint32(1)] - image[i, j - np.uint32(1)]) * np.float32(0.5)
        found[4, at] = (image[i + np.uint32(1), j] - image[i - np.uint32(1), j]) * np.float32(0.5)
        found[5, at] = trust[cell_rows[i], cell_columns[j]]
        at += 1
    return found
