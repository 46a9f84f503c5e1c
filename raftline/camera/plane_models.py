"""The plane models that camera motion is fitted with, each linear in its parameters.

Points are in centred coordinates (see `transforms.centred`), displacements in px. A parameter is thus the displacement
in px that it causes half a diagonal away from the centre, and all are comparable with each other.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from raftline.camera.transforms import centred_points, frame_corners

ModelName = Literal["translation", "similarity", "affine", "rolling_shutter", "homography"]


def _translation(x: np.ndarray, y: np.ndarray, x_moved: np.ndarray, y_moved: np.ndarray) -> tuple[list, list]:
    zero, one = np.zeros_like(x), np.ones_like(x)
    return [one, zero], [zero, one]


def _similarity(x: np.ndarray, y: np.ndarray, x_moved: np.ndarray, y_moved: np.ndarray) -> tuple[list, list]:
    zero, one = np.zeros_like(x), np.ones_like(x)
    return [x, -y, one, zero], [y, x, zero, one]


def _affine(x: np.ndarray, y: np.ndarray, x_moved: np.ndarray, y_moved: np.ndarray) -> tuple[list, list]:
    zero, one = np.zeros_like(x), np.ones_like(x)
    return [x, y, one, zero, zero, zero], [zero, zero, zero, x, y, one]


def _rolling_shutter(x: np.ndarray, y: np.ndarray, x_moved: np.ndarray, y_moved: np.ndarray) -> tuple[list, list]:
    """Affine, and the bend of rows read one after the other while turn and scale go on changing."""
    along_x, along_y = _affine(x, y, x_moved, y_moved)
    return along_x + [-y * y, x * y], along_y + [x * y, y * y]


def _homography(x: np.ndarray, y: np.ndarray, x_moved: np.ndarray, y_moved: np.ndarray) -> tuple[list, list]:
    along_x, along_y = _affine(x, y, x_moved, y_moved)
    return along_x + [-x_moved * x, -x_moved * y], along_y + [-y_moved * x, -y_moved * y]


@dataclass(frozen=True)
class PlaneModel:
    """How the points of an image move between two frames."""

    name: ModelName
    parameters: int
    """Count of parameters."""
    rows: Callable[..., tuple[list, list]]
    """Function of x, y, x_moved, y_moved (N,) to the rows of the design for u and for v."""
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
        along_x, along_y = self.rows(*points, *moved)
        return np.stack([*along_x, *along_y]).reshape(2, self.parameters, -1)

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
    "translation": PlaneModel("translation", 2, _translation, None),
    "similarity": PlaneModel("similarity", 4, _similarity, "translation"),
    "affine": PlaneModel("affine", 6, _affine, "similarity"),
    "rolling_shutter": PlaneModel("rolling_shutter", 8, _rolling_shutter, "affine", extra=2),
    "homography": PlaneModel("homography", 8, _homography, "affine"),
}


@functools.lru_cache(maxsize=16)
def _corner_products(name: ModelName, width: int, height: int) -> np.ndarray:
    """Return the products (K, K) of what two parameters add to the displacement, averaged over the corners."""
    corners = centred_points(frame_corners(width, height).T, width, height)
    rows = PLANE_MODELS[name].design(corners, corners)
    return np.einsum("ajn,akn->jk", rows, rows) / corners.shape[1]
