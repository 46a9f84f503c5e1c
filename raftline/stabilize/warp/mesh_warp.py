"""Images warped by a plane transform and the local motions of a mesh, interpolated once."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from raftline.camera.mesh import hat_weights, vertices
from raftline.camera.transforms import transform_points
from raftline.stabilize.warp.rolling_shutter import exposed_at
from raftline.stabilize.warp.warp import Interpolation, interpolation_flag

_ROUNDS = 3
"""Of finding where a vertex comes from, which depends on the gain there: gains change by little over a shift, so each
round divides the error by many."""


def mesh_sources(
    matrix: np.ndarray,
    shift: np.ndarray,
    gains: np.ndarray,
    width: int,
    height: int,
    sweep: np.ndarray | None = None,
) -> np.ndarray:
    """Find where in the frame each vertex of the output comes from.

    Args:
        matrix: (3, 3) px of the frame to px of the output: how the plane moves.
        shift: (2,) px: content of gain g moves g times this farther.
        gains: (rows, columns) at the vertices of the frame.
        width: Width of frame and output, px.
        height: Height of frame and output, px.
        sweep: (3, 3) as in `rolling_shutter.sweeps`, or None.

    Returns:
        (rows, columns, 2) px, never beyond the frame's outermost pixels.
    """
    back, shown = np.linalg.inv(matrix), vertices(width, height).reshape(-1, 2)
    sources = transform_points(back, shown)
    for _ in range(_ROUNDS):
        sources = transform_points(back, shown - _at(gains, sources, width, height)[:, None] * shift)
    if sweep is not None:
        sources = np.stack(exposed_at(sources[:, 0], sources[:, 1], sweep, height), axis=1)
    return np.clip(sources, 0.0, (width - 1.0, height - 1.0)).reshape(*gains.shape, 2)


def _at(gains: np.ndarray, points: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return the gains (P,) at points (P, 2) px of the frame."""
    rows, columns = gains.shape
    down, along = hat_weights(points[:, 1], height, rows), hat_weights(points[:, 0], width, columns)
    return np.einsum("pr,rc,pc->p", down, gains, along)


def warp_mesh(
    planes: Sequence[np.ndarray], sources: np.ndarray, interpolation: Interpolation = "cubic"
) -> tuple[np.ndarray, ...]:
    """Warp planes by a mesh.

    Args:
        planes: As in `warp.warp_planes`.
        sources: (rows, columns, 2) px: where in the frame each vertex of the output comes from.
        interpolation: Of pixels; between vertices it is linear.
    """
    height, width = planes[0].shape[:2]
    flag = interpolation_flag(interpolation)
    moved = []
    for at, plane in enumerate(planes):
        step, down_px = (1.0, 0.0) if at == 0 else (2.0, 0.5)
        x, y = step * np.arange(plane.shape[1]), step * np.arange(plane.shape[0]) + down_px
        down, along = (
            hat_weights(places, length, count).astype(np.float32)
            for places, length, count in ((y, height, sources.shape[0]), (x, width, sources.shape[1]))
        )
        map_x, map_y = (down @ (sources[..., axis].astype(np.float32) @ along.T) for axis in (0, 1))
        if at:
            map_x, map_y = map_x / np.float32(step), (map_y - np.float32(down_px)) / np.float32(step)
        moved.append(cv2.remap(plane, map_x, map_y, flag, borderMode=cv2.BORDER_REPLICATE))
    return tuple(moved)
