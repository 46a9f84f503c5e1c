"""A mesh of vertices over a frame: the outermost lie on its outermost pixels, values are bilinear in between."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from raftline.camera.transforms import transform_points

_LONGER_SIDE_CELLS = 16
"""Cells along the longer side of the frame; they are about square. Chosen by hand: 40 px on the 640 px of `python -m
benchmarks.bench_stabilization --only two_layers`, which shows its effect."""


def mesh_shape(width: int, height: int) -> tuple[int, int]:
    """Return the (rows, columns) of vertices of the mesh over a frame of `width` x `height` px."""
    cell_px = max(width, height) / _LONGER_SIDE_CELLS
    return max(1, round(height / cell_px)) + 1, max(1, round(width / cell_px)) + 1


def vertices(width: int, height: int) -> np.ndarray:
    """Return the places of the vertices, (rows, columns, 2) float64 px."""
    rows, columns = mesh_shape(width, height)
    return np.stack(np.meshgrid(np.linspace(0, width - 1, columns), np.linspace(0, height - 1, rows)), axis=-1)


def centre_shift(matrix: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return the px, (2,), by which `matrix` (3, 3) moves the centre of a frame of `width` x `height` px."""
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    return transform_points(matrix, centre[None])[0] - centre


def hat_weights(places: np.ndarray, length: int, count: int) -> np.ndarray:
    """Return the weights of linear interpolation along one axis of a mesh.

    Args:
        places: (P,) px: where values are asked for; clipped to the frame.
        length: Side of the frame along the axis, px.
        count: Vertices along the axis.

    Returns:
        (P, count) in [0, 1], each row adding up to 1.
    """
    at = np.clip(places / max(length - 1, 1), 0.0, 1.0) * (count - 1)
    return np.clip(1.0 - np.abs(at[:, None] - np.arange(count)), 0.0, None)


@lru_cache(maxsize=8)
def mesh_smoothness(rows: int, columns: int) -> np.ndarray:
    """Return the Laplacian L of the mesh: v @ L @ v is the sum of squared differences of neighbouring values v.

    Returns:
        (columns + 1, V) for V = rows * columns, as `BandedCholesky` takes it.
    """
    down, along = (_differences(count) for count in (rows, columns))
    whole = np.kron(down, np.eye(columns)) + np.kron(np.eye(rows), along)
    banded = np.zeros((columns + 1, len(whole)))
    for above in {0, 1, columns}:
        banded[columns - above, above:] = np.diag(whole, above)
    return banded


def _differences(count: int) -> np.ndarray:
    step = np.diff(np.eye(count), axis=0)
    return step.T @ step
