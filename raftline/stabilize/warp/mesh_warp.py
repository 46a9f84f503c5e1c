"""Pictures through a plane transform and the local motions of a mesh, interpolated once."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from raftline.camera.mesh import hat_weights, vertices
from raftline.camera.transforms import transform_points
from raftline.stabilize.warp.rolling_shutter import exposed_at
from raftline.stabilize.warp.warp import Interpolation, interpolation_flag

_ROUNDS = 3


def mesh_sources(
    matrix: np.ndarray,
    shift: np.ndarray,
    gains: np.ndarray,
    width: int,
    height: int,
    sweep: np.ndarray | None = None,
) -> np.ndarray:
    """Where each vertex of the output lies in the frame, (rows, columns, 2) px, never beyond its outermost pixels.

    The plane goes by `matrix` (3, 3) px to px, content of gain g `shift` (2,) px times g farther. gains: (rows,
    columns) at vertices of the frame. sweep: (3, 3) as in `rolling_shutter.sweeps`.
    """
    back, shown = np.linalg.inv(matrix), vertices(width, height).reshape(-1, 2)
    sources = transform_points(back, shown)
    for _ in range(_ROUNDS):
        sources = transform_points(back, shown - _at(gains, sources, width, height)[:, None] * shift)
    if sweep is not None:
        sources = np.stack(exposed_at(sources[:, 0], sources[:, 1], sweep, height), axis=1)
    return np.clip(sources, 0.0, (width - 1.0, height - 1.0)).reshape(*gains.shape, 2)


def _at(gains: np.ndarray, points: np.ndarray, width: int, height: int) -> np.ndarray:
    """Gains (P,) at points (P, 2) px of the frame."""
    rows, columns = gains.shape
    down, across = hat_weights(points[:, 1], height, rows), hat_weights(points[:, 0], width, columns)
    return np.einsum("pr,rc,pc->p", down, gains, across)


def warp_mesh(
    planes: Sequence[np.ndarray], sources: np.ndarray, interpolation: Interpolation = "cubic"
) -> tuple[np.ndarray, ...]:
    """Planes as in `warp_planes`, through a mesh: its vertices show what lies at `sources` (rows, columns, 2) px."""
    height, width = planes[0].shape[:2]
    flag = interpolation_flag(interpolation)
    moved = []
    for at, plane in enumerate(planes):
        step, down_px = (1.0, 0.0) if at == 0 else (2.0, 0.5)
        x, y = step * np.arange(plane.shape[1]), step * np.arange(plane.shape[0]) + down_px
        down, across = (
            hat_weights(places, length, count).astype(np.float32)
            for places, length, count in ((y, height, sources.shape[0]), (x, width, sources.shape[1]))
        )
        map_x, map_y = (down @ (sources[..., axis].astype(np.float32) @ across.T) for axis in (0, 1))
        if at:
            map_x, map_y = map_x / np.float32(step), (map_y - np.float32(down_px)) / np.float32(step)
        moved.append(cv2.remap(plane, map_x, map_y, flag, borderMode=cv2.BORDER_REPLICATE))
    return tuple(moved)
