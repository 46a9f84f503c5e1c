"""The motion of one frame at the vertices of a mesh, less that of the frame's main plane.

Constants without another reason were chosen by hand; `python -m benchmarks.bench_stabilization --parts known --only
two_layers,foreground` shows their effect.
"""

from __future__ import annotations

import base64
import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from raftline.camera.camera_motion import grid_centres
from raftline.camera.mesh import centre_shift, hat_weights, mesh_shape
from raftline.camera.transforms import transform_points

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
    """Return the flow less the plane's around each vertex, (2, rows, columns) px, and the trusted cells there."""
    every = max(1, max(flow_px.shape) // _SIDE_CELLS)
    points, down, along = _places(*flow_px.shape[:2], every, *size)
    picked = slice(every // 2, None, every)
    flow_px, weights = flow_px[picked, picked], weights[picked, picked]
    finite = np.isfinite(flow_px[..., 0]) & np.isfinite(flow_px[..., 1])
    to = points + np.where(finite[..., None], flow_px, 0.0)
    rest = (to - transform_points(matrix, points.reshape(-1, 2)).reshape(points.shape)).transpose(2, 0, 1)
    trust = weights * (finite & ((to >= 0) & (to <= (size[0] - 1, size[1] - 1))).all(axis=-1))
    return _robust_means(rest, trust, down, along)


@functools.lru_cache(maxsize=8)
def _places(rows: int, columns: int, every: int, width: int, height: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the centres (h, w, 2) px of one in `every` cells of a grid along each side, and their `mesh_weights`."""
    x, y = (each[every // 2 :: every] for each in grid_centres(rows, columns))
    return np.stack(np.meshgrid(x, y), axis=-1), *mesh_weights(x, y, width, height)


def _robust_means(
    rest: np.ndarray, trust: np.ndarray, down: np.ndarray, along: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Average `rest` (2, h, w) px around each vertex, with the weights of Geman and McClure; also the cells' weight."""
    shape = down.shape[1], along.shape[1]
    robust, mean, cells = trust, np.zeros((2, *shape)), np.zeros(shape)
    for _ in range(_ROUNDS):
        cells = down.T @ robust @ along
        mean = (down.T @ (robust * rest) @ along) / np.maximum(cells, 1e-6)
        squared = ((rest - down @ mean @ along.T) ** 2).sum(axis=0)
        reach_px = max(_ROBUST_PX, _REACH_MEDIANS * float(np.median(np.sqrt(squared))))
        robust = trust / (1.0 + squared / reach_px**2) ** 2
    return mean, cells


def _as_16_bits(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float16).astype(np.float64)
