"""A mesh of vertices over a frame, the outermost on its outermost pixels, linear in between."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from raftline.camera.transforms import transform_points

_LONGER_SIDE = 16
"""Cells along the longer side of the frame; they are about square."""


def mesh_shape(width: int, height: int) -> tuple[int, int]:
    """(rows, columns) of vertices."""
    cell_px = max(width, height) / _LONGER_SIDE
    return max(1, round(height / cell_px)) + 1, max(1, round(width / cell_px)) + 1


def vertices(width: int, height: int) -> np.ndarray:
    """(rows, columns, 2) px."""
    rows, columns = mesh_shape(width, height)
    return np.stack(np.meshgrid(np.linspace(0, width - 1, columns), np.linspace(0, height - 1, rows)), axis=-1)


def centre_shift(matrix: np.ndarray, width: int, height: int) -> np.ndarray:
    """(2,) px by which `matrix` (3, 3) moves the frame's centre."""
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    return transform_points(matrix, centre[None])[0] - centre


def hat_weights(places: np.ndarray, length: int, count: int) -> np.ndarray:
    """(P, count): the shares of `count` vertices over `length` px in what lies at `places` (P,) px."""
    at = np.clip(places / max(length - 1, 1), 0.0, 1.0) * (count - 1)
    return np.clip(1.0 - np.abs(at[:, None] - np.arange(count)), 0.0, None)


@lru_cache(maxsize=8)
def mesh_smoothness(rows: int, columns: int) -> np.ndarray:
    """(columns + 1, V) for V = rows x columns, banded as `scipy.linalg.solveh_banded` takes a matrix (V, V).

    v @ it @ v is the sum of squared differences of neighbours.
    """
    along = [_differences(count) for count in (rows, columns)]
    whole = np.kron(along[0], np.eye(columns)) + np.kron(np.eye(rows), along[1])
    banded = np.zeros((columns + 1, len(whole)))
    for above in {0, 1, columns}:
        banded[columns - above, above:] = np.diag(whole, above)
    return banded


def _differences(count: int) -> np.ndarray:
    step = np.diff(np.eye(count), axis=0)
    return step.T @ step
