"""The plane models that camera motion is fitted with, each linear in its parameters.

Points are in centred coordinates (see `transforms.centred`), displacements in px. A parameter is thus the displacement
in px that it causes half a diagonal away from the centre, and all are comparable with each other.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from raftline.camera.transforms import centred_points, frame_corners
from raftline.kernels.compiled import compiled

ModelName = Literal["translation", "similarity", "affine", "rolling_shutter", "homography"]


_ONE, _X, _Y, _X_MOVED, _Y_MOVED = range(5)
"""Factors of a term: of x and y, a point's place, and of x and y where it went."""
_TRANSLATION = ((0, 0, 1, _ONE, _ONE), (1, 1, 1, _ONE, _ONE))
_SIMILARITY = (
    (0, 0, 1, _X, _ONE), (1, 0, -1, _Y, _ONE), (2, 0, 1, _ONE, _ONE),
    (0, 1, 1, _Y, _ONE), (1, 1, 1, _X, _ONE), (3, 1, 1, _ONE, _ONE),
)  # fmt: skip
_AFFINE = (
    (0, 0, 1, _X, _ONE), (1, 0, 1, _Y, _ONE), (2, 0, 1, _ONE, _ONE),
    (3, 1, 1, _X, _ONE), (4, 1, 1, _Y, _ONE), (5, 1, 1, _ONE, _ONE),
)  # fmt: skip
_ROLLING_SHUTTER = (*_AFFINE, (6, 0, -1, _Y, _Y), (7, 0, 1, _X, _Y), (6, 1, 1, _X, _Y), (7, 1, 1, _Y, _Y))
"""Affine, and the bend of rows read one after the other while turn and scale go on changing."""
_HOMOGRAPHY = (
    *_AFFINE,
    (6, 0, -1, _X_MOVED, _X), (7, 0, -1, _X_MOVED, _Y), (6, 1, -1, _Y_MOVED, _X), (7, 1, -1, _Y_MOVED, _Y),
)  # fmt: skip


@dataclass(frozen=True)
class PlaneModel:
    """How the points of an image move between two frames."""

    name: ModelName
    parameters: int
    """Count of parameters."""
    terms: tuple[tuple[int, int, int, int, int], ...]
    """What the displacement is the sum of: a parameter, the axis, 0 or 1, a sign, and two factors."""
    simpler: ModelName | None
    """The model to fall back to where the data do not support this one."""
    extra: int = 0
    """Count of the last parameters that the matrix leaves out."""

    def design(self, points: np.ndarray, moved: np.ndarray) -> np.ndarray:
        """Return what each parameter adds to the displacement.

        Args:
            points: (2, N), centred.
            moved: (2, N), centred: where the points went.

        Returns:
            (2, parameters, N), without unit: u and v in px for each px of a parameter.
        """
        design = np.empty((2, self.parameters, points.shape[1]))
        _design(_table(self.name), points, moved, design)
        return design

    def steepest(self, points: np.ndarray, gradient: np.ndarray, steepest: np.ndarray) -> None:
        """Write by how much each parameter changes the value of an image at points, to first order.

        Args:
            points: (2, N) float64, centred.
            gradient: (2, N) float64 along x and y.
            steepest: (parameters, N) float32, set: in the gradient's unit, for each px of a parameter.
        """
        _steepest(_table(self.name), points, gradient, steepest)

    @functools.cached_property
    def basis(self) -> np.ndarray:
        """(K, 3, 3) float64: what a px of each parameter that the matrix holds adds to it, where the unit is 1 px."""
        units = np.eye(self.parameters)[: self.parameters - self.extra]
        return np.stack([self.matrix(unit, 1.0) - np.eye(3) for unit in units])

    def matrix(self, parameters: np.ndarray, half_diagonal: float) -> np.ndarray:
        """Return the transform (3, 3) float64, in coordinates whose unit is `half_diagonal` px, of parameters in px."""
        p = parameters / half_diagonal
        if self.name == "translation":
            steps = [[0, 0, p[0]], [0, 0, p[1]], [0, 0, 0]]
        elif self.name == "similarity":
            steps = [[p[0], -p[1], p[2]], [p[1], p[0], p[3]], [0, 0, 0]]
        elif self.name in ("affine", "rolling_shutter"):
            steps = [[p[0], p[1], p[2]], [p[3], p[4], p[5]], [0, 0, 0]]
        else:
            steps = [[p[0], p[1], p[2]], [p[3], p[4], p[5]], [p[6], p[7], 0]]
        return np.eye(3) + np.array(steps, np.float64)

    def corner_error_px(self, covariance: np.ndarray, width: int, height: int) -> float:
        """Return the expected error of a fit at the frame's corners, rms.

        Args:
            covariance: (K, K) px² of the first K parameters.
            width: Width of the frame, px.
            height: Height of the frame, px.
        """
        products = _corner_products(self.name, width, height)
        return float(np.sqrt((products[: len(covariance), : len(covariance)] * covariance).sum()))


PLANE_MODELS: dict[str, PlaneModel] = {
    "translation": PlaneModel("translation", 2, _TRANSLATION, None),
    "similarity": PlaneModel("similarity", 4, _SIMILARITY, "translation"),
    "affine": PlaneModel("affine", 6, _AFFINE, "similarity"),
    "rolling_shutter": PlaneModel("rolling_shutter", 8, _ROLLING_SHUTTER, "affine", extra=2),
    "homography": PlaneModel("homography", 8, _HOMOGRAPHY, "affine"),
}


@functools.lru_cache(maxsize=16)
def _corner_products(name: ModelName, width: int, height: int) -> np.ndarray:
    """Return the products (K, K) of what two parameters add to the displacement, averaged over the corners."""
    corners = centred_points(frame_corners(width, height).T, width, height)
    rows = PLANE_MODELS[name].design(corners, corners)
    return np.einsum("ajn,akn->jk", rows, rows) / corners.shape[1]


@functools.cache
def _table(name: ModelName) -> np.ndarray:
    """Return the terms of a model, (T, 5) int64."""
    return np.array(PLANE_MODELS[name].terms)


@compiled
def _design(terms: Any, points: Any, moved: Any, design: Any) -> None:
    """Write the sums of terms (T, 5) at points (2, N) that went to `moved` (2, N): (2, K, N)."""
    count = points.shape[1]
    factors = np.empty((5, count))
    for n in range(count):
        factors[0, n], factors[1, n], factors[2, n] = 1.0, points[0, n], points[1, n]
        factors[3, n], factors[4, n] = moved[0, n], moved[1, n]
    design[:] = 0.0
    for t in range(terms.shape[0]):
        k, axis, sign = terms[t, 0], terms[t, 1], np.float64(terms[t, 2])
        one, other = terms[t, 3], terms[t, 4]
        for n in range(count):
            design[axis, k, n] += sign * factors[one, n] * factors[other, n]


@compiled
def _steepest(terms: Any, points: Any, gradient: Any, steepest: Any) -> None:
    """Write the sums of terms (T, 5), times the gradient (2, N) along their axes, at points (2, N): (K, N)."""
    count, block = points.shape[1], 256
    factors, sums = np.empty((5, block)), np.empty((steepest.shape[0], block))
    for first in range(0, count, block):
        here = min(block, count - first)
        for n in range(here):
            x, y = points[0, first + n], points[1, first + n]
            factors[0, n], factors[1, n], factors[2, n], factors[3, n], factors[4, n] = 1.0, x, y, x, y
        sums[:] = 0.0
        for t in range(terms.shape[0]):
            k, axis, sign = terms[t, 0], terms[t, 1], np.float64(terms[t, 2])
            one, other = terms[t, 3], terms[t, 4]
            for n in range(here):
                sums[k, n] += sign * factors[one, n] * factors[other, n] * gradient[axis, first + n]
        for k in range(steepest.shape[0]):
            for n in range(here):
                steepest[k, first + n] = np.float32(sums[k, n])
