"""What aligning two pictures needs of each: blurred luma, coarse and fine, and the points that say most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from raftline.camera.camera_motion import GRID_PX
from raftline.camera.transforms import centred
from raftline.kernels.compiled import compiled

_MAX_SIDE_PX = 640
_BLUR_PX = 0.8
_COARSE = 2
_LEAST_SIDE_PX = 16
_POINTS = 8_000
"""About so many are compared at most, where the gradient is strongest."""


@dataclass(frozen=True)
class LumaPyramid:
    """Made once per frame, used with the one before and the one after."""

    levels: tuple[np.ndarray, ...]
    """From coarse to fine: blurred luma, float32 (h, w)."""
    width: int
    """px of the frame."""
    height: int

    @classmethod
    def of(cls, luma: np.ndarray) -> LumaPyramid:
        """luma: uint8 (H, W)."""
        height, width = luma.shape
        scale = min(1.0, _MAX_SIDE_PX / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        fine = cv2.resize(luma, size, interpolation=cv2.INTER_AREA) if scale < 1 else luma
        half = (max(1, fine.shape[1] // _COARSE), max(1, fine.shape[0] // _COARSE))
        coarse = cv2.resize(fine, half, interpolation=cv2.INTER_AREA)
        large = (level for level in (coarse, fine) if min(level.shape) >= _LEAST_SIDE_PX)
        return cls(tuple(_blurred(level) for level in large), width, height)

    def to_level(self, level: int) -> np.ndarray:
        """(3, 3) px of the frame to px of a level: centres of areas, not corners, coincide."""
        height, width = self.levels[level].shape
        across, down = width / self.width, height / self.height
        return np.array([[across, 0.0, (across - 1) / 2], [0.0, down, (down - 1) / 2], [0.0, 0.0, 1.0]])

    def points(self, level: int, cell_weights: np.ndarray) -> AlignmentPoints:
        """Those of a level with the strongest gradients, one of each 2 x 2 px at most, that are trusted.

        cell_weights: (h, w) >= 0 of the frame's 8 px cells.
        """
        image = self.levels[level]
        height, width = image.shape
        rows = np.minimum(np.arange(height) * self.height // (height * GRID_PX), cell_weights.shape[0] - 1)
        columns = np.minimum(np.arange(width) * self.width // (width * GRID_PX), cell_weights.shape[1] - 1)
        trust = cell_weights.astype(np.float32)
        blocks = (height // 2) * (width // 2)
        strength, places = np.empty(blocks, np.float32), np.empty(blocks, np.int64)
        _strongest(image, trust, rows, columns, strength, places)
        least = np.partition(strength, -_POINTS)[-_POINTS] if blocks > _POINTS else np.float32(0.0)
        places = places[(strength >= least) & (strength > 0.0)]
        found = np.empty((6, len(places)))
        _gather(image, trust, rows, columns, places, found)
        to_centred, _ = centred(width, height)
        local = found[:2] * to_centred[0, 0] + to_centred[:2, 2:]
        return AlignmentPoints(local, found[2], found[3:5], found[5])


@dataclass(frozen=True)
class AlignmentPoints:
    """What is compared of the earlier picture."""

    local: np.ndarray
    """(2, N) float64, centred (see `transforms.centred`)."""
    value: np.ndarray
    """(N,) float64 grey levels."""
    gradient: np.ndarray
    """(2, N) grey levels per px along x and y."""
    trust: np.ndarray
    """(N,) >= 0"""


def _blurred(luma: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(np.asarray(luma, np.float32), (0, 0), _BLUR_PX)


@compiled
def _strongest(image: Any, trust: Any, cell_rows: Any, cell_columns: Any, strength: Any, places: Any) -> None:
    """Of each 2 x 2 px of an image float32 (h, w) the strongest trusted gradient, squared, and its place in it, flat.

    0 at the image's border.
    """
    height, width = image.shape
    here = np.zeros((2, width), np.float32)
    across = width // 2
    for block_row in range(height // 2):
        for k in range(2):
            i = 2 * block_row + k
            if i == 0 or i == height - 1:
                here[k] = 0.0
                continue
            cells = trust[cell_rows[i]]
            for j in range(1, width - 1):
                x = (image[i, j + 1] - image[i, j - 1]) * np.float32(0.5)
                y = (image[i + 1, j] - image[i - 1, j]) * np.float32(0.5)
                here[k, j] = (x * x + y * y) * cells[cell_columns[j]]
        for block in range(across):
            left = 2 * block
            upper = left + (here[0, left] < here[0, left + 1])
            lower = left + (here[1, left] < here[1, left + 1])
            down = here[0, upper] < here[1, lower]
            at = block_row * across + block
            strength[at] = here[1, lower] if down else here[0, upper]
            places[at] = (2 * block_row + down) * width + (lower if down else upper)


@compiled
def _gather(image: Any, trust: Any, cell_rows: Any, cell_columns: Any, places: Any, found: Any) -> None:
    """x, y, value, gradient along x and y, and trust, (6, N), at places (N,) that are not at the border."""
    width = image.shape[1]
    for n in range(places.size):
        i, j = divmod(places[n], width)
        found[0, n], found[1, n], found[2, n] = j, i, image[i, j]
        found[3, n] = (image[i, j + 1] - image[i, j - 1]) * np.float32(0.5)
        found[4, n] = (image[i + 1, j] - image[i - 1, j]) * np.float32(0.5)
        found[5, n] = trust[cell_rows[i], cell_columns[j]]
