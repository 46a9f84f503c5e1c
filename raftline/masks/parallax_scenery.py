"""Parallax: what moves faster than the camera's plane only because it is nearer.

A camera that goes along shifts all that stands still along one direction, the farther the nearer it is. Where the
plane's fit leaves motion along one direction all over the frame, the image shows depth; what passes by along it,
somewhat faster than the plane, is then taken for scenery. What goes across, or is slower than the plane, as the one
whom the camera follows is, moves by itself.

Numbers were tuned by hand on the scenes park, small and left of `benchmarks.motion_masks.following`;
`python -m benchmarks.bench_motion_masks --only following` shows their effect.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raftline.masks.foreground import grown

_LEAST_SPREAD_PX = 0.1
"""Sigma along the direction that parallax shares: less is the flow's noise."""
_LEAST_ANISOTROPY = 2.0
"""Sigma along it over sigma across."""
_LEAST_CAMERA_PX = 1.0
"""A camera that moves by less shows no parallax that counts."""
_NEAREST = 0.7
"""Of the plane's own motion, what nearer scenery may move by in addition. The one who is followed is at -1, and where
flow sees little of him not far below 0: farther scenery cannot be told from him."""
_ACROSS_SHARE, _ACROSS_PX = 0.3, 0.4
"""Across the direction scenery may be off by this share of what it moves along it, and by this much."""
_BLURRED_CELLS = 2
"""Around what moves, cells share some of its flow."""
_REMEMBERED_FRAMES = 12
"""Time constant of `DepthShown`: some frames show depth by chance. Chosen by hand."""


def parallax_scenery(grid_px: np.ndarray, residual_px: np.ndarray, moving: np.ndarray) -> np.ndarray | None:
    """Tell which moving cells move as scenery at another depth does.

    From two frames a thing that moves along the camera's direction, at a part of its speed, cannot be told from
    scenery: a result that relies on this is uncertain.

    Args:
        grid_px: float32 (ceil(H/8), ceil(W/8), 2), flow in px.
        residual_px: The same, less the camera's motion.
        moving: bool (ceil(H/8), ceil(W/8)).

    Returns:
        bool (ceil(H/8), ceil(W/8)); None: the frame shows no parallax.
    """
    direction = _shared_direction(residual_px[~moving])
    if direction is None:
        return None
    camera_px = (grid_px - residual_px) @ direction
    along_px = residual_px @ direction
    across_px = np.abs(residual_px @ np.array([-direction[1], direction[0]], np.float32))
    share = along_px * np.sign(camera_px) / np.maximum(np.abs(camera_px), _LEAST_CAMERA_PX)
    nearer = (np.abs(camera_px) >= _LEAST_CAMERA_PX) & (share > 0)
    scenery = nearer & (share < _NEAREST) & (across_px < np.maximum(_ACROSS_PX, _ACROSS_SHARE * np.abs(along_px)))
    # At the rim of what is faster still, cells see some of it and some of what is behind.
    return moving & scenery & ~grown(moving & nearer & ~scenery, 1)


def shows_depth(residual_px: np.ndarray, moving: np.ndarray) -> bool:
    """Whether what a plane leaves of the flow, (h, w, 2) px, away from moving cells, bool (h, w), is parallax."""
    return _shared_direction(residual_px[~grown(moving, _BLURRED_CELLS)]) is not None


class DepthShown:
    """Whether most of the latest frames of a camera that moves showed depth."""

    def __init__(self) -> None:
        """Begin with no frame."""
        self._share, self._frames = 0.0, 0

    def take(self, shown: bool) -> None:
        """Count a frame."""
        self._frames = min(self._frames + 1, _REMEMBERED_FRAMES)
        self._share += (shown - self._share) / self._frames

    @property
    def mostly(self) -> bool:
        """Whether they did."""
        return self._share > 0.5

    def full_state(self) -> list[float]:
        """All of it."""
        return [self._share, self._frames]

    def restore_full(self, state: Sequence[float]) -> None:
        """Go on exactly where `full_state` was taken."""
        self._share, self._frames = float(state[0]), int(state[1])


def _shared_direction(residual_px: np.ndarray) -> np.ndarray | None:
    """Unit vector, float32 (2,), along which motion (N, 2) in px that the plane leaves spreads; None: there is none."""
    if len(residual_px) < 3:
        return None
    variances, axes = np.linalg.eigh(residual_px.T @ residual_px / len(residual_px))
    across, along = np.sqrt(np.maximum(variances, 1e-9))
    if along < max(_LEAST_SPREAD_PX, _LEAST_ANISOTROPY * across):
        return None
    return axes[:, 1].astype(np.float32)
