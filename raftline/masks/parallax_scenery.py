"""Parallax: what moves against the camera's plane only because it lies nearer or farther.

A camera that goes along shifts all that stands still along one direction, the farther the nearer it is. What moves
along it is scenery if it is as fast as scenery can be: no slower than the farthest that is seen at its height in the
frame, where ground hides what is farther, and not much faster than the nearest of all. Both are told by most columns
of the frame, as no single object fills them. What goes across, or is slower, as the one whom the camera follows, moves
by itself.

Numbers were tuned by hand on the scenes left, wood and open of `benchmarks.motion_masks.following`, and measured on
others; `python -m benchmarks.bench_motion_masks --only following` shows their effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raftline.masks.foreground import grown

_LEAST_SPREAD_PX = 0.1
"""Sigma along the direction that parallax shares: less is the flow's noise."""
_LEAST_ANISOTROPY = 2.0
"""Sigma along it over sigma across."""
_LEAST_DEPTH_PX = 1.0
"""By so much most columns spread along it where nothing but moving cells shows it."""
_BANDS, _COLUMNS = 6, 8
"""Parts of the frame of which the ranges are taken."""
_OUTERMOST = 0.1
"""Share of a part's cells that lie beyond its range, at either side: flow errs there."""
_FARTHER_SHARE, _NEARER_SHARE, _BEYOND_PX = 0.15, 0.25, 0.4
"""What is still scenery beyond what most columns show: shares of the whole range, and px."""
_ACROSS_SHARE, _ACROSS_PX = 0.3, 0.4
"""Across the direction scenery may be off by this share of what it moves along it, and by this much."""
_BLURRED_CELLS = 2
"""Around what moves, cells share some of its flow."""
_REMEMBERED_FRAMES = 12
"""Time constant of `DepthShown`: some frames show depth by chance. Chosen by hand."""


def parallax_scenery(grid_px: np.ndarray, residual_px: np.ndarray, moving: np.ndarray) -> np.ndarray | None:
    """Tell which moving cells move as scenery at another depth does.

    From two frames a thing that moves along the camera's direction, as fast as scenery, cannot be told from it: a
    result that relies on this is uncertain.

    Args:
        grid_px: float32 (ceil(H/8), ceil(W/8), 2), flow in px.
        residual_px: The same, less the camera's motion.
        moving: bool (ceil(H/8), ceil(W/8)).

    Returns:
        bool (ceil(H/8), ceil(W/8)); None: the frame shows no parallax.
    """
    direction = _shared_direction(residual_px[~moving])
    if direction is None:
        direction = _direction_of_layers(residual_px)
    if direction is None:
        return None
    across = np.array([-direction[1], direction[0]], np.float32)
    along_px, across_px = residual_px @ direction, np.abs(residual_px @ across)
    still, nearer = _as_fast_as_scenery(_unturned(grid_px, residual_px, direction, across))
    scenery = still & (across_px < np.maximum(_ACROSS_PX, _ACROSS_SHARE * np.abs(along_px)))
    # At the rim of what is faster still, cells see some of it and some of what is behind.
    return moving & scenery & ~grown(moving & ~scenery & (nearer * along_px > 0), 1)


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


def _direction_of_layers(residual_px: np.ndarray) -> np.ndarray | None:
    """The same of all cells, (h, w, 2), if most columns spread along it: those of one thing that moves do not."""
    direction = _shared_direction(residual_px.reshape(-1, 2))
    if direction is None:
        return None
    parts = _Parts.of(residual_px @ direction)
    spread = np.median(parts.most.max(axis=0) - parts.least.min(axis=0))
    return direction if spread >= _LEAST_DEPTH_PX else None


def _unturned(grid_px: np.ndarray, residual_px: np.ndarray, direction: np.ndarray, across: np.ndarray) -> np.ndarray:
    """float32 (h, w): flow along a direction in px, less what a camera that rolls or zooms adds, but for a constant.

    Both show across the direction, where depth does not.
    """
    high, wide = grid_px.shape[:2]
    plane_px = (grid_px - residual_px) @ across
    right = (plane_px[high // 2, -1] - plane_px[high // 2, 0]) / max(wide - 1, 1)
    down = (plane_px[-1, wide // 2] - plane_px[0, wide // 2]) / max(high - 1, 1)
    zoom, roll = right * across[0] + down * across[1], right * direction[0] + down * direction[1]
    x, y = np.arange(wide, dtype=np.float32)[None], np.arange(high, dtype=np.float32)[:, None]
    to_side, ahead = across[0] * x + across[1] * y, direction[0] * x + direction[1] * y
    return grid_px @ direction - (zoom * ahead - roll * to_side)


def _as_fast_as_scenery(shift_px: np.ndarray) -> tuple[np.ndarray, float]:
    """bool (h, w): what goes as fast along the direction as most columns show; and the sign of what is nearer."""
    parts = _Parts.of(shift_px)
    rows = np.median(parts.middle, axis=1)
    nearer = 1.0 if rows[-2:].mean() >= rows[:2].mean() else -1.0  # ground is nearer below than above
    far, near = (parts.least, parts.most) if nearer > 0 else (-parts.most, -parts.least)
    farthest, nearest = np.median(far, axis=1), float(np.median(near.max(axis=0)))
    spread = max(nearest - float(farthest.min()), 0.0)
    from_px = (farthest - _BEYOND_PX - _FARTHER_SHARE * spread).astype(np.float32)[parts.band]
    to_px = np.float32(nearest + _BEYOND_PX + _NEARER_SHARE * spread)
    speed_px = np.float32(nearer) * shift_px
    return (speed_px >= from_px[:, None]) & (speed_px <= to_px), nearer


@dataclass(frozen=True)
class _Parts:
    """Ranges of values in bands and columns of the frame."""

    band: np.ndarray
    """int (h,): which band each row belongs to."""
    least: np.ndarray
    """float32 (bands, columns), as the others; without the `_OUTERMOST`."""
    middle: np.ndarray
    most: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> _Parts:
        """Of values (h, w); what does not fill a part at the rim has none."""
        high, wide = values.shape
        bands, columns = min(_BANDS, high), min(_COLUMNS, wide)
        rows, across = high // bands, wide // columns
        top, left = (high - rows * bands) // 2, (wide - across * columns) // 2
        parts = values[top : top + rows * bands, left : left + across * columns].reshape(bands, rows, columns, across)
        ordered = np.sort(parts.transpose(0, 2, 1, 3).reshape(bands, columns, -1), axis=2)
        last = ordered.shape[2] - 1
        first = round(_OUTERMOST * last)
        band = np.clip((np.arange(high) - top) // rows, 0, bands - 1)
        return cls(band, ordered[..., first], ordered[..., (last + 1) // 2], ordered[..., last - first])
