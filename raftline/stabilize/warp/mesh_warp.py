"""Images warped by a plane transform and the local motions of a mesh, interpolated once."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from raftline.camera.mesh import hat_weights, vertices
from raftline.camera.transforms import transform_points
from raftline.stabilize.choices import Interpolation
from raftline.stabilize.warp.rolling_shutter import exposed_at
from raftline.stabilize.warp.warp import along_lines, interpolation_flag

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
    moved = []
    for at, plane in enumerate(planes):
        step, down_px = (1.0, 0.0) if at == 0 else (2.0, 0.5)
        down = hat_weights(step * np.arange(plane.shape[0]) + down_px, height, sources.shape[0])
        at_x, at_y = down @ sources[..., 0] / step, (down @ sources[..., 1] - down_px) / step
        knots = np.linspace(0.0, (width - 1) / step, sources.shape[1])
        shown = along_lines(plane, knots, at_x, at_y) if interpolation == "cubic" else None
        moved.append(_remapped(plane, knots, at_x, at_y, interpolation) if shown is None else shown)
    return tuple(moved)


def _remapped(
    plane: np.ndarray, knots: np.ndarray, at_x: np.ndarray, at_y: np.ndarray, interpolation: Interpolation
) -> np.ndarray:
    """Warp a plane whose rows show at_x, at_y (H, K) px of it at `knots` (K,) px, and are linear in between."""
    along = hat_weights(np.arange(plane.shape[1]), knots[-1] + 1.0, len(knots)).astype(np.float32).T
    map_x, map_y = (each.astype(np.float32) @ along for each in (at_x, at_y))
    return cv2.remap(plane, map_x, map_y, interpolation_flag(interpolation), borderMode=cv2.BORDER_REPLICATE)
