"""The motion of one frame at the vertices of a mesh, less that of the frame's main plane.

Constants without another reason were chosen by hand; `python -m benchmarks.bench_stabilization --parts known --only
two_layers,foreground` shows their effect.
"""

from __future__ import annotations

import base64
import functools
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from raftline.camera.camera_motion import grid_centres
from raftline.camera.mesh import centre_shift, hat_weights, mesh_shape
from raftline.flow.median import median
from raftline.kernels.compiled import compiled

_SIDE_CELLS = 80
"""Cells looked at along the longer side, five for each vertex: bounds the time to that of a frame of 640 px."""
_FULL_TEXTURE_CELLS = 4.0
"""Trusted cells around a vertex with which it counts fully."""
_ROBUST_PX = 1.0
"""Residual at which a robust weight falls to a quarter, at least."""
_REACH_MEDIANS = 3.0
"""The same, in medians of the residual."""
_ROUNDS, _SHIFT_ROUNDS = 3, 9
"""Of reweighting: of means over cells, and of a shift, which begins farther off."""
_MIN_REVISION_PX = 1.0
"""Error of a shift from which it is revised: direct alignment is finer than the mesh."""


@dataclass(frozen=True)
class VertexMotion:
    """The motion of one frame; rounded so that 16 bits hold `rest` and `counted` exactly."""

    index: int
    """Index of the frame."""
    seconds: float
    """Time since the frame before."""
    shift: np.ndarray
    """(2,) px: of the plane at the frame's centre."""
    rest: np.ndarray
    """(2, rows, columns) px: motion of the vertices less that of the plane."""
    counted: np.ndarray
    """(rows, columns) 0-1: weight of the vertices."""

    @classmethod
    def measure(
        cls,
        index: int,
        seconds: float,
        flow_px: np.ndarray,
        matrix: np.ndarray,
        weights: np.ndarray,
        size: tuple[int, int],
    ) -> VertexMotion:
        """Measure the motion on flow; arguments as in `parallax.ParallaxField.add`, `size` is (width, height) px."""
        rest, cells = _beside_plane(flow_px, matrix, weights, size)
        counted = np.minimum(cells / _FULL_TEXTURE_CELLS, 1.0)
        return cls(index, seconds, centre_shift(matrix, *size), _as_16_bits(rest), _as_16_bits(counted))

    def shift_under(self, gains: np.ndarray) -> np.ndarray:
        """Return the shift (2,) px of the plane under which most vertices move as these gains say."""
        moved, near = self.rest + self.shift[:, None, None], 1.0 + gains
        weight, shift = self.counted, self.shift
        for _ in range(_SHIFT_ROUNDS):
            shift = (weight * near * moved).sum(axis=(1, 2)) / max(float((weight * near**2).sum()), 1e-9)
            off = ((moved - near * shift[:, None, None]) ** 2).sum(axis=0)
            weight = self.counted / (1.0 + off / _ROBUST_PX**2) ** 2
        return shift

    def under(self, gains: np.ndarray) -> VertexMotion:
        """Return the same frame relative to the plane of these gains, if it was relative to another."""
        shift = self.shift_under(gains)
        if np.hypot(*(shift - self.shift)) < _MIN_REVISION_PX:
            return self
        return replace(self, shift=shift, rest=self.rest + (self.shift - shift)[:, None, None])

    def to_json(self) -> list[Any]:
        """Return index, seconds, shift, and `rest` and `counted` as base64 of float16."""
        packed = np.stack([*self.rest, self.counted]).astype(np.float16).tobytes()
        return [self.index, self.seconds, self.shift.tolist(), base64.b64encode(packed).decode("ascii")]

    @classmethod
    def from_json(cls, values: list[Any], shape: tuple[int, ...]) -> VertexMotion:
        """Return what `to_json` described, on a mesh of `shape` (rows, columns)."""
        index, seconds, shift, packed = values
        cells = np.frombuffer(base64.b64decode(packed), np.float16).astype(np.float64).reshape(3, *shape)
        return cls(index, seconds, np.array(shift), cells[:2], cells[2])


def mesh_weights(x: np.ndarray, y: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the interpolation weights of a frame's mesh, for rows at `y` (h,) px and columns at `x` (w,) px.

    Returns:
        (h, rows) and (w, columns): values v (rows, columns) at the vertices are down @ v @ along.T at the places.
    """
    rows, columns = mesh_shape(width, height)
    return hat_weights(y, height, rows), hat_weights(x, width, columns)


def _beside_plane(
    flow_px: np.ndarray, matrix: np.ndarray, weights: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the flow less the plane's around each vertex, (2, rows, columns) px, and the trusted cells there.

    Each is a mean over the cells around, with the weights of Geman and McClure.
    """
    every = max(1, max(flow_px.shape) // _SIDE_CELLS)
    x, y, across, down = _places(*flow_px.shape[:2], every, *size)
    rest, trust, squared = np.empty((2, len(y), len(x))), np.empty((len(y), len(x))), np.zeros((len(y), len(x)))
    picked = slice(every // 2, None, every)
    flow_px, weights = flow_px[picked, picked].astype(np.float32), weights[picked, picked].astype(np.float64)
    _leave(flow_px, weights, x, y, matrix, size[0] - 1, size[1] - 1, rest, trust)
    mean, cells, reach_px = np.empty((2, *mesh_shape(*size))), np.empty(mesh_shape(*size)), np.inf
    for done in range(_ROUNDS):
        if done:
            reach_px = max(_ROBUST_PX, _REACH_MEDIANS * math.sqrt(median(squared)))
        _average(rest, trust, reach_px, across, down, squared, mean, cells)
    return mean, cells


@functools.lru_cache(maxsize=8)
def _places(
    rows: int, columns: int, every: int, width: int, height: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the centres x (w,) and y (h,) px of one in `every` cells of a grid along each side, and where they lie.

    That is (w,) and (h,) in vertices of the mesh, from the first one on.
    """
    x, y = (each[every // 2 :: every] for each in grid_centres(rows, columns))
    down, across = mesh_shape(width, height)
    at_x, at_y = (
        np.clip(at / max(length - 1, 1), 0.0, 1.0) * (count - 1)
        for at, length, count in ((x, width, across), (y, height, down))
    )
    return x, y, at_x, at_y


@compiled
def _leave(
    flow_px: Any, weights: Any, x: Any, y: Any, matrix: Any, most_x: Any, most_y: Any, rest: Any, trust: Any
) -> None:
    """Leave of flow (h, w, 2) what the motion `matrix` does not explain, rest (2, h, w), and of weights (h, w) those of
    cells that stay in the frame.

    `transforms.transform_xy`, spelt out.
    """
    for i in range(y.size):
        for j in range(x.size):
            u, v = np.float64(flow_px[i, j, 0]), np.float64(flow_px[i, j, 1])
            finite = np.isfinite(u) and np.isfinite(v)
            to_x, to_y = (x[j] + u, y[i] + v) if finite else (x[j], y[i])
            away = matrix[2, 0] * x[j] + matrix[2, 1] * y[i] + matrix[2, 2]
            rest[0, i, j] = to_x - (matrix[0, 0] * x[j] + matrix[0, 1] * y[i] + matrix[0, 2]) / away
            rest[1, i, j] = to_y - (matrix[1, 0] * x[j] + matrix[1, 1] * y[i] + matrix[1, 2]) / away
            stays = finite and 0 <= to_x <= most_x and 0 <= to_y <= most_y
            trust[i, j] = weights[i, j] if stays else 0.0


@compiled
def _average(rest: Any, trust: Any, reach_px: Any, across: Any, down: Any, squared: Any, mean: Any, cells: Any) -> None:
    """Average rest (2, h, w) around each vertex; cells off the mean before by `squared` (h, w) count less.

    Sets mean (2, rows, columns), the weight of the cells around each vertex (rows, columns), and `squared` anew.
    """
    rows, columns = cells.shape
    mean[:] = 0.0
    cells[:] = 0.0
    for i in range(down.size):
        top = min(int(down[i]), max(rows - 2, 0))
        for j in range(across.size):
            near = 1.0 + squared[i, j] / (reach_px * reach_px)
            robust = trust[i, j] / (near * near)
            left = min(int(across[j]), max(columns - 2, 0))
            for row in range(top, min(top + 2, rows)):
                for column in range(left, min(left + 2, columns)):
                    weight = (1.0 - abs(down[i] - row)) * (1.0 - abs(across[j] - column)) * robust
                    cells[row, column] += weight
                    mean[0, row, column] += weight * rest[0, i, j]
                    mean[1, row, column] += weight * rest[1, i, j]
    for row in range(rows):
        for column in range(columns):
            mean[0, row, column] /= max(cells[row, column], 1e-6)
            mean[1, row, column] /= max(cells[row, column], 1e-6)
    for i in range(down.size):
        top = min(int(down[i]), max(rows - 2, 0))
        for j in range(across.size):
            left = min(int(across[j]), max(columns - 2, 0))
            u, v = rest[0, i, j], rest[1, i, j]
            for row in range(top, min(top + 2, rows)):
                for column in range(left, min(left + 2, columns)):
                    weight = (1.0 - abs(down[i] - row)) * (1.0 - abs(across[j] - column))
                    u -= weight * mean[0, row, column]
                    v -= weight * mean[1, row, column]
            squared[i, j] = u * u + v * v


def _as_16_bits(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float16).astype(np.float64)
