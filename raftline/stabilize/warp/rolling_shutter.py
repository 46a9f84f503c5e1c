"""Rolling shutter: the camera's motion without the shear it causes, and frames corrected for it.

A camera that reads its rows in `readout_seconds` exposes row y at a time that grows with y; the frame's time is that of
its middle row. To first order the camera moves evenly while a frame is read.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from raftline.camera.transforms import motion_matrices, transform_xy
from raftline.stabilize.choices import Interpolation
from raftline.stabilize.warp.warp import interpolation_flag


def without_shear(matrix: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return the camera's similarity in the affine motion between two frames that were read row by row.

    A camera that moves while it reads shears and stretches the frame along y. That changes what y contributes to x and
    y; what x contributes is turn and scale alone.

    Args:
        matrix: (3, 3) px to px, affine.
        width: Width of the frames, px.
        height: Height of the frames, px.

    Returns:
        (3, 3) px to px; the frame's centre moves as under `matrix`.
    """
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    to = matrix @ (*centre, 1.0)
    turned = np.array([[matrix[0, 0], -matrix[1, 0]], [matrix[1, 0], matrix[0, 0]]]) / matrix[2, 2]
    upright = np.eye(3)
    upright[:2, :2] = turned
    upright[:2, 2] = to[:2] / to[2] - turned @ centre
    return upright


def sweeps(times: np.ndarray, path: np.ndarray, readout_seconds: float, width: int, height: int) -> np.ndarray:
    """Return the camera's motion while each frame is read.

    Args:
        times: (N,) s, strictly growing.
        path: (N, 8) px motion vectors: the camera's path.
        readout_seconds: Time between the exposure of the first row and that after the last.
        width: Width of the frames, px.
        height: Height of the frames, px.

    Returns:
        (N, 3, 3) px to px; identity if there are fewer than three frames.
    """
    if len(times) < 3:
        return np.tile(np.eye(3), (len(times), 1, 1))
    from scipy.interpolate import CubicSpline  # here: it takes longer to load than all the rest, and few need it

    velocity = CubicSpline(times, path)(times, 1)
    return motion_matrices(velocity * readout_seconds, width, height)


def warp_rows(
    planes: Sequence[np.ndarray], matrix: np.ndarray, sweep: np.ndarray, interpolation: Interpolation = "cubic"
) -> tuple[np.ndarray, ...]:
    """Warp planes, each row first put where the middle row's time has it.

    Args:
        planes: As in `warp.warp_planes`.
        matrix: (3, 3) px of the frame to px of the result.
        sweep: (3, 3) of this frame, as from `sweeps`.
        interpolation: Of pixels.
    """
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
    """Find where a rolling shutter shows what lies at x, y px at the time of the middle row.

    The row that shows it depends on where it is shown: two rounds of a fixed point.

    Args:
        x: px, any shape.
        y: px, the same shape.
        sweep: (3, 3) of this frame, as from `sweeps`; affine.
        height: Height of the frame, px.

    Returns:
        x and y, px, of the dtype of `x`.
    """
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
    """Return where in the plane each sample of the result comes from, x and y, float32 (h, w) each."""
    x = (step * np.arange(shape[1]) + offset[0])[None, :].astype(np.float32)
    y = (step * np.arange(shape[0]) + offset[1])[:, None].astype(np.float32)
    at_x, at_y = transform_xy(np.linalg.inv(matrix).astype(np.float32), x, y)
    at_x, at_y = exposed_at(at_x, at_y, sweep, height)
    return (at_x - np.float32(offset[0])) / np.float32(step), (at_y - np.float32(offset[1])) / np.float32(step)
