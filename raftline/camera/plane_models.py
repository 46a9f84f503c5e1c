"""The plane models that camera motion is fitted with, each linear in its parameters.

Points are in coordinates about the frame's centre in half diagonals (see `transforms.centred`), displacements in px,
so parameters are px of displacement half a diagonal away and comparable with each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

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
    """Affine, and what rows show that are read one after the other while turn and scale go on changing."""
    along_x, along_y = _affine(x, y, x_moved, y_moved)
    return along_x + [-y * y, x * y], along_y + [x * y, y * y]


def _homography(x: np.ndarray, y: np.ndarray, x_moved: np.ndarray, y_moved: np.ndarray) -> tuple[list, list]:
    along_x, along_y = _affine(x, y, x_moved, y_moved)
    return along_x + [-x_moved * x, -x_moved * y], along_y + [-y_moved * x, -y_moved * y]


@dataclass(frozen=True)
class PlaneModel:
    """A model of how a picture's points move between two frames."""

    name: ModelName
    parameters: int
    rows: Callable[..., tuple[list, list]]
    simpler: ModelName | None
    """What to fall back to where the data do not support this one."""
    beside: int = 0
    """How many of the parameters, the last ones, are no part of the matrix."""

    def design(self, points: np.ndarray, moved: np.ndarray) -> np.ndarray:
        """(2, parameters, N): what each parameter adds to u and v of points (2, N) that went to `moved` (2, N)."""
        along_x, along_y = self.rows(*points, *moved)
        return np.stack([*along_x, *along_y]).reshape(2, self.parameters, -1)

    def matrix(self, parameters: np.ndarray, half_diagonal: float) -> np.ndarray:
        """(3, 3) in centred coordinates, from parameters in px."""
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


PLANE_MODELS: dict[str, PlaneModel] = {
    "translation": PlaneModel("translation", 2, _translation, None),
    "similarity": PlaneModel("similarity", 4, _similarity, "translation"),
    "affine": PlaneModel("affine", 6, _affine, "similarity"),
    "rolling_shutter": PlaneModel("rolling_shutter", 8, _rolling_shutter, "affine", beside=2),
    "homography": PlaneModel("homography", 8, _homography, "affine"),
}
