"""Scenery at another depth: what moves against the camera's plane, and is no object, but nearer or farther.

Numbers without a source were chosen by hand, on the scenes of `tests/stages/test_motion_mask_scenes.py` and with
`python -m benchmarks.bench_motion_masks`.
"""

from __future__ import annotations

import cv2
import numpy as np

from raftline.camera.camera_motion import fit_camera_motion
from raftline.kernels.cell import CELL_PX
from raftline.masks.residual_motion import cell_residual

_LEAST_SHARE = 0.08
"""Of the frame: what is smaller is an object, not scenery."""
_RIM_SHARE = 0.25
"""Of the frame's rim, that scenery covers at least: ground covers half of it, a lorry across the frame a seventh."""
_MOST_LAYERS = 2
"""Besides the camera's own plane: far, middle and near in all."""
_FOLLOWS_PX = 1.0
"""A cell follows a layer's motion if it is off by less than this; flow at depth edges is no more exact."""
_FOLLOWS_SIGMAS = 3.0
"""The same in sigmas of the layer's fit, if larger: 99 % of what follows it, by Rayleigh's distribution."""
_FASTER = 1.5
"""Times the fastest of a layer: what is faster stays. What a layer uncovers has no flow of its own, but one like its
neighbours'."""


def depth_layers(
    grid_px: np.ndarray, residual_px: np.ndarray, moving: np.ndarray, width: int, height: int
) -> np.ndarray:
    """Tell which moving cells are scenery at another depth.

    Scenery shares one plane motion of its own, is large, and lies at the frame's rim, as ground and walls do. From two
    frames it cannot be told from a thing as large that moves: a result that relies on this is uncertain.

    Args:
        grid_px: float32 (ceil(H/8), ceil(W/8), 2), flow in px.
        residual_px: The same, less the camera's motion.
        moving: bool (ceil(H/8), ceil(W/8)).
        width: Of the frame, px.
        height: Of the frame, px.

    Returns:
        bool (ceil(H/8), ceil(W/8)).
    """
    found, left = np.zeros(moving.shape, bool), moving.copy()
    for _ in range(_MOST_LAYERS):
        if np.count_nonzero(left) < _LEAST_SHARE * left.size:
            break
        layer = _one_layer(grid_px, left, width, height)
        if layer is None:
            break
        found |= layer
        left &= ~layer
    return found | (_between(found, ~moving, residual_px) & moving) if found.any() else found


def _one_layer(grid_px: np.ndarray, moving: np.ndarray, width: int, height: int) -> np.ndarray | None:
    """The cells that follow the motion of most of the moving ones, if these look like scenery."""
    motion = fit_camera_motion(grid_px, width, height, "homography", moving.astype(np.float32))
    if motion.model == "none":
        return None
    off = cell_residual(grid_px, motion.matrix)
    follows_px = max(_FOLLOWS_PX, _FOLLOWS_SIGMAS * motion.residual_px)
    layer = moving & (cv2.magnitude(off[..., 0], off[..., 1]) < follows_px)
    rim = np.concatenate([layer[0], layer[-1], layer[1:-1, 0], layer[1:-1, -1]])
    return layer if layer.mean() >= _LEAST_SHARE and rim.mean() >= _RIM_SHARE else None


def _between(layers: np.ndarray, still: np.ndarray, residual_px: np.ndarray) -> np.ndarray:
    """bool (h, w): cells between layers and what follows the camera: they see both, or what comes out from behind one.

    What moves inside of a layer lies beside no such cells, and stays; so does what is much faster than the layers.
    """
    fastest = float(np.abs(residual_px[layers]).max(initial=0.0))
    speed_px = cv2.magnitude(residual_px[..., 0], residual_px[..., 1])
    size = 2 * (1 + int(np.ceil(fastest / CELL_PX))) + 1
    near = np.ones((size, size), np.uint8)
    both = (cv2.dilate(layers.astype(np.uint8), near) > 0) & (cv2.dilate(still.astype(np.uint8), near) > 0)
    return both & (speed_px < _FASTER * fastest + _FOLLOWS_PX)
