"""Whether a corrected frame covers the output: the zoom that leaves no border, and corrections that fit a zoom."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raftline.camera.transforms import frame_corners, motion_matrices, transform_points

_BISECTIONS = 24
"""Leave an interval of 3 / 2^24 = 2e-7 of a zoom: under a thousandth of a px at the rim of any frame."""
BORDER_PX = 0.01
"""Distance beyond the centres of the outermost pixels that still counts as inside; replication fills it."""
_PLANNED_BORDER_PX = BORDER_PX / 2
"""Half of it, so that rounding to come stays within it."""

USUAL_ZOOM, _LARGEST_ZOOM, _ASKING_SHARE = 1.15, 1.4, 0.95
"""An automatic zoom: what any clip may take; what a violently shaken one may; and the share of its frames that must ask
for more. A single stumble is not worth the rest of the clip's rim. Chosen by hand."""


def zoom_matrix(zoom: float, width: int, height: int) -> np.ndarray:
    """Return the transform (3, 3), px to px, that enlarges by `zoom` about the frame's centre."""
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    return np.array([[zoom, 0.0, centre_x * (1 - zoom)], [0.0, zoom, centre_y * (1 - zoom)], [0.0, 0.0, 1.0]])


def covers(matrices: np.ndarray, width: int, height: int, border_px: float = BORDER_PX) -> np.ndarray:
    """Tell which corrected frames fill the whole output.

    A frame does if the output's corners lie inside it: both are convex, and stay so under a plane transform.

    Args:
        matrices: (N, 3, 3) corrections, px of the frame to px of the output.
        width: Width of frame and output, px.
        height: Height of frame and output, px.
        border_px: Distance beyond the outermost pixels' centres that counts as inside.

    Returns:
        (N,) bool.
    """
    inside = np.linalg.inv(matrices)
    corners = frame_corners(width, height)
    depth = inside[..., 2, :2] @ corners.T + inside[..., 2, 2:]
    source = transform_points(inside, corners)
    limit = np.array([width - 1.0, height - 1.0])
    within = (source >= -border_px) & (source <= limit + border_px)
    return within.all(axis=(-1, -2)) & (depth > 0).all(axis=-1)


def required_zoom(corrections: np.ndarray, width: int, height: int, most: float = 4.0) -> np.ndarray:
    """Return the least zoom (N,) in [1, most] at which each correction (N, 3, 3) leaves no border; else `most`."""
    low, high = np.ones(len(corrections)), np.full(len(corrections), most)
    low = np.where(covers(corrections, width, height, _PLANNED_BORDER_PX), high, low)
    done = low == most
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        fits = covers(zoom_matrices(middle, width, height) @ corrections, width, height, _PLANNED_BORDER_PX)
        high, low = np.where(fits, middle, high), np.where(fits, low, middle)
    return np.where(done, 1.0, high)


def fitting_share(vectors: np.ndarray, zoom: float, width: int, height: int) -> np.ndarray:
    """Return the largest share (N,), 0-1, of each correction vector (N, 8) px that leaves no border at this zoom."""
    enlarge = zoom_matrix(zoom, width, height)
    low, high = np.zeros(len(vectors)), np.ones(len(vectors))
    whole = covers(enlarge @ motion_matrices(vectors, width, height), width, height, _PLANNED_BORDER_PX)
    for _ in range(_BISECTIONS):
        if whole.all():
            break
        middle = (low + high) / 2
        moved = enlarge @ motion_matrices(vectors * middle[:, None], width, height)
        fits = covers(moved, width, height, _PLANNED_BORDER_PX)
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return np.where(whole, 1.0, low)


def zoom_matrices(zooms: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return the transforms (N, 3, 3) that enlarge by each of `zooms` (N,) about the frame's centre."""
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    matrices = np.zeros((len(zooms), 3, 3))
    matrices[:, 0, 0] = matrices[:, 1, 1] = zooms
    matrices[:, :2, 2] = centre * (1 - zooms[:, None])
    matrices[:, 2, 2] = 1.0
    return matrices


def zoom_asked_for(needed: Sequence[np.ndarray]) -> float:
    """Return the largest zoom that the shake of a clip is worth: what hides the borders of all but its wildest frames.

    Args:
        needed: For each run (N,): the zoom with which the whole correction of each frame leaves no border.
    """
    every = np.concatenate([*needed, np.ones(1)])
    return float(np.clip(np.quantile(every, _ASKING_SHARE), USUAL_ZOOM, _LARGEST_ZOOM))
