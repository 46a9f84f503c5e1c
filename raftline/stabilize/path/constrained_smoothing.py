"""A smooth path with a bound on its distance from the measured one: a quadratic program, solved by ADMM.

The bound is a box on the displacement of the frame's corners; operator splitting as in Boyd et al. (2011), section 5.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from raftline.camera.cholesky import BandedCholesky
from raftline.camera.transforms import VECTOR_LENGTH, frame_corners, motion_matrices, transform_points
from raftline.stabilize.path.smoothing_kernel import TYPICAL_STEP, normal_equations, time_shares

_TOLERANCE_PX = 0.02
"""By which corners may leave the bound: less than is seen."""
_RELAXATION = 1.7
"""Over-relaxation of ADMM: Boyd et al. (2011), section 3.4.3, recommend 1.5 to 1.8."""
_UNBOUNDED_FRAMES = 15
"""Frames of typical length beyond the last known one, in which the path may come back from the bound: without them, it
runs away where little look-ahead is known."""
_FIRST_ORDER_PX = 1e-3
"""Step of the difference quotient of corner displacements."""
_RANK_TOLERANCE = 1e-6
"""Singular values below this share of the largest are rounding."""


@lru_cache(maxsize=8)
def corner_displacements(width: int, height: int) -> np.ndarray:
    """Return the Jacobian (8, 8): px that x and y of the four corners move for each px of a motion vector's entries."""
    corners = frame_corners(width, height)
    small = motion_matrices(np.eye(VECTOR_LENGTH) * _FIRST_ORDER_PX, width, height)
    return ((transform_points(small, corners) - corners) * (1 / _FIRST_ORDER_PX)).reshape(VECTOR_LENGTH, 8).T


def corner_margin(zoom: float, width: int, height: int) -> np.ndarray:
    """Return the px (8,) that x and y of each corner may move before a border shows at this zoom (>= 1)."""
    return 0.5 * (1.0 - 1.0 / zoom) * np.tile([width - 1.0, height - 1.0], 4)


def constrained_path(
    held_times: np.ndarray,
    held: np.ndarray,
    times: np.ndarray,
    corrections: np.ndarray,
    cutoff_hz: float,
    margin: np.ndarray,
    size: tuple[int, int],
    iterations: int = 100,
    penalty: float = 30.0,
) -> np.ndarray:
    """Find the smallest smooth change of corrections that brings them within a margin.

    The corners stay within the margin to first order, and to `_TOLERANCE_PX` if the iterations suffice.

    Args:
        held_times: (K,) s: times before `times` whose change is already fixed; may be empty.
        held: (K, 8) px: the change at these times.
        times: (N,) s, growing.
        corrections: (N, 8) px: corrections (planned path less measured path), as motion vectors.
        cutoff_hz: How smooth the change is, as in `penalized_least_squares`.
        margin: (8,) px, as from `corner_margin`.
        size: (width, height) of the frame, px.
        iterations: Of ADMM, at most.
        penalty: Of leaving the margin, relative to leaving `corrections`. A larger one is within the margin sooner, and
            takes longer to become as smooth as it can be.

    Returns:
        (N, 8) px to add to `corrections`.
    """
    to_corners = corner_displacements(*size)
    basis = _moved_directions(np.concatenate([held, corrections]) @ to_corners.T)
    if not basis.size:
        return np.zeros_like(corrections)
    along, held = corrections @ to_corners.T @ basis, held @ to_corners.T @ basis
    known = np.concatenate([held_times, times])
    every = np.concatenate([known, times[-1] + TYPICAL_STEP * np.arange(1, _UNBOUNDED_FRAMES + 1)])
    along = np.concatenate([along, np.zeros((_UNBOUNDED_FRAMES, along.shape[1]))])
    within = np.concatenate([np.tile(margin, (len(times), 1)), np.full((_UNBOUNDED_FRAMES, len(margin)), np.inf)])
    step = _bounded(every, -along, held, basis, within, cutoff_hz, iterations, penalty)
    return _from_corners((step - along)[: len(times)] @ basis.T, to_corners)


def _from_corners(corners: np.ndarray, to_corners: np.ndarray) -> np.ndarray:
    """Return the motion vectors (N, 8) px of displacements (N, 8) px of the corners."""
    return np.linalg.lstsq(to_corners, corners.T, rcond=None)[0].T


def _moved_directions(corners: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis (8, D) of the corner displacements that occur: a similarity path stays one."""
    _, singular, directions = np.linalg.svd(corners, full_matrices=False)
    return directions[singular > _RANK_TOLERANCE * max(singular.max(initial=0.0), 1e-9)].T


def _bounded(
    times: np.ndarray,
    path: np.ndarray,
    held: np.ndarray,
    basis: np.ndarray,
    margin: np.ndarray,
    cutoff_hz: float,
    iterations: int,
    penalty: float,
) -> np.ndarray:
    """Return a smooth path near 0, less `path` (N, D) in the basis, its corners at most `margin` (N, 8) px off."""
    banded, target = normal_equations(times, np.zeros_like(path), np.ones(len(path)), cutoff_hz, held)
    pull = penalty * time_shares(times)[len(held) :, None]
    banded[-1] += pull[:, 0]
    equations = BandedCholesky(banded)
    allowed = np.zeros((len(path), margin.shape[-1]))
    dual = np.zeros_like(allowed)
    step = np.zeros_like(path)
    for _ in range(iterations):
        step = equations.solve(target + pull * (path + (allowed - dual) @ basis)) - path
        corners = step @ basis.T
        relaxed = _RELAXATION * corners + (1.0 - _RELAXATION) * allowed
        allowed = np.clip(relaxed + dual, -margin, margin)
        dual += relaxed - allowed
        if np.abs(corners - allowed).max() < _TOLERANCE_PX:
            break
    return step
