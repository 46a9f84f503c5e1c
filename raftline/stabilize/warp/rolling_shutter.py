"""Rows that were exposed one after the other: the camera's motion without their shear, and pictures set upright again.

A camera that reads its rows in `readout_seconds` shows row y at a time that grows with y; the frame's time is that of
its middle row. To first order the camera moves evenly while a frame is read.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from scipy.interpolate import CubicSpline

from raftline.camera.transforms import motion_matrices, transform_xy
from raftline.stabilize.warp.warp import Interpolation, interpolation_flag


def without_shear(matrix: np.ndarray, width: int, height: int) -> np.ndarray:
    """The similarity (3, 3) of the camera in an affine motion (3, 3) between frames that were read row by row.

    Moving while it is read shears and stretches a picture along y, and so changes what y does to x and y; what x does
    is turn and scale alone.
    """
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    to = matrix @ (*centre, 1.0)
    turned = np.array([[matrix[0, 0], -matrix[1, 0]], [matrix[1, 0], matrix[0, 0]]]) / matrix[2, 2]
    upright = np.eye(3)
    upright[:2, :2] = turned
    upright[:2, 2] = to[:2] / to[2] - turned @ centre
    return upright


def sweeps(times: np.ndarray, path: np.ndarray, readout_seconds: float, width: int, height: int) -> np.ndarray:
    """How the camera moves while each frame is read, (N, 3, 3) px to px, from its path (N, 8) at `times` (N,) s."""
    if len(times) < 3:
        return np.tile(np.eye(3), (len(times), 1, 1))
    velocity = CubicSpline(times, path)(times, 1)
    return motion_matrices(velocity * readout_seconds, width, height)


def warp_rows(
    planes: Sequence[np.ndarray], matrix: np.ndarray, sweep: np.ndarray, interpolation: Interpolation = "cubic"
) -> tuple[np.ndarray, ...]:
    """Planes as in `warp_planes`, moved by `matrix` (3, 3), each row first put where the middle row's time has it."""
    height = planes[0].shape[0]
    moved = []
    for plane in planes:
        chroma = plane.shape[0] != height or (len(planes) == 3 and plane is not planes[0])
        step, offset = (2.0, (0.0, 0.5)) if chroma else (1.0, (0.0, 0.0))
        map_x, map_y = _sources(plane.shape, step, offset, matrix, sweep, height)
        flag = interpolation_flag(interpolation)
        moved.append(cv2.remap(plane, map_x, map_y, flag, borderMode=cv2.BORDER_REPLICATE))
    return tuple(moved)


def exposed_at(x: np.ndarray, y: np.ndarray, sweep: np.ndarray, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Where rows read one after the other show what lies at x, y px at the time of the middle row."""
    during = (sweep / sweep[2, 2] - np.eye(3)).astype(x.dtype)
    along_x = during[0, 0] * x + during[0, 1] * y + during[0, 2]
    along_y = during[1, 0] * x + during[1, 1] * y + during[1, 2]
    share = (y + 0.5) / height - 0.5
    share = (y + share * along_y + 0.5) / height - 0.5
    return x + share * along_x, y + share * along_y


def _sources(
    shape: tuple[int, ...],
    step: float,
    offset: tuple[float, float],
    matrix: np.ndarray,
    sweep: np.ndarray,
    height: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Where each sample of the result lies in the plane, float32 (h, w) twice."""
    x = (step * np.arange(shape[1]) + offset[0])[None, :].astype(np.float32)
    y = (step * np.arange(shape[0]) + offset[1])[:, None].astype(np.float32)
    at_x, at_y = transform_xy(np.linalg.inv(matrix).astype(np.float32), x, y)
    at_x, at_y = exposed_at(at_x, at_y, sweep, height)
    return (at_x - np.float32(offset[0])) / np.float32(step), (at_y - np.float32(offset[1])) / np.float32(step)
