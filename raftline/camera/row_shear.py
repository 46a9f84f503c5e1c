"""How much more a frame's lower rows moved than its upper ones: what a rolling shutter leaves in the flow."""

from __future__ import annotations

import numpy as np

from raftline.camera.camera_motion import grid_centres

_LEAST_WEIGHT = 20.0
"""Sum of the weights of cells without which nothing is said: about as many cells of full texture. Chosen by hand."""


def row_shear(flow_px: np.ndarray, weights: np.ndarray, height: int) -> tuple[float, float] | None:
    """Measure the shear and the stretch along y of a frame's flow, which no turn or zoom of the camera explains.

    In an affine fit, a turn adds the same to what y contributes to x as it takes from what x contributes to y, and a
    zoom contributes to both axes alike: what is left of the two is the rows' own.

    Args:
        flow_px: (h, w, 2) float px, on the grid of 8 px cells.
        weights: (h, w) >= 0: trust in it; 0 where it does not follow the camera.
        height: Height of the frame, px.

    Returns:
        Shear along x and stretch along y, px from the first row to the last; None: the flow does not tell.
    """
    x, y = grid_centres(*flow_px.shape[:2])
    finite = np.isfinite(flow_px).all(axis=-1)
    heavy = np.where(finite, weights, 0.0)
    total = float(heavy.sum())
    if total < _LEAST_WEIGHT:
        return None
    x, y = x - heavy.sum(axis=0) @ x / total, y - heavy.sum(axis=1) @ y / total
    xx, yy = heavy.sum(axis=0) @ x**2, heavy.sum(axis=1) @ y**2
    xy = y @ heavy @ x
    determinant = xx * yy - xy**2
    if determinant <= 1e-3 * xx * yy:
        return None
    pulls = []
    for axis in range(2):
        pulled = heavy * np.where(finite, flow_px[..., axis], 0.0)
        pulled = pulled - heavy * (pulled.sum() / total)
        pulls.append((pulled.sum(axis=0) @ x, pulled.sum(axis=1) @ y))
    (ux, uy), (vx, vy) = pulls
    shear = (xx * uy - xy * ux) / determinant + (yy * vx - xy * vy) / determinant
    stretch = (xx * vy - xy * vx) / determinant - (yy * ux - xy * uy) / determinant
    return float(shear * height), float(stretch * height)
