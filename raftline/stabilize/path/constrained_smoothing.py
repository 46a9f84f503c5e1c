"""Smoothing with a bound on how far the smooth path may leave the measured one: a quadratic program, solved by ADMM.

The bound is a box on the displacement of the frame's corners; operator splitting as in Boyd et al. (2011), section 5.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.linalg import cho_solve_banded, cholesky_banded

from raftline.camera.transforms import VECTOR_LENGTH, frame_corners, motion_matrices, transform_points
from raftline.stabilize.path.smoothing_kernel import TYPICAL_STEP, normal_equations, time_shares

_TOLERANCE_PX = 0.02
_RELAXATION = 1.7
_UNBOUNDED = 15
"""Frames beyond the last known one, in which a detour comes back: without, little look-ahead lets it run away."""


@lru_cache(maxsize=8)
def corner_displacements(width: int, height: int) -> np.ndarray:
    """(8, 8): px by which x and y of the four corners move for each px of a motion vector's entries, to first order."""
    corners = frame_corners(width, height)
    small = motion_matrices(np.eye(VECTOR_LENGTH) * 1e-3, width, height)
    return ((transform_points(small, corners) - corners) * 1e3).reshape(VECTOR_LENGTH, 8).T


def corner_margin(zoom: float, width: int, height: int) -> np.ndarray:
    """(8,): px by which x and y of each corner may move before a border shows at this zoom."""
    return 0.5 * (1.0 - 1.0 / zoom) * np.tile([width - 1.0, height - 1.0], 4)


def constrained_path(
    begun: np.ndarray,
    held: np.ndarray,
    times: np.ndarray,
    beside: np.ndarray,
    cutoff_hz: float,
    margin: np.ndarray,
    size: tuple[int, int],
    iterations: int = 100,
    penalty: float = 30.0,
) -> np.ndarray:
    """The small way (N, 8) px, as smooth as `cutoff_hz` asks, by which corrections `beside` (N, 8) px reach the margin.

    It goes on from `held` (K, 8) px at the times `begun` (K,) s, none or those before `times` (N,) s. margin (8,) px as
    `corner_margin` gives it: the corners stay in it to first order, and to `_TOLERANCE_PX` where the iterations
    suffice. size: width and height, px. penalty: of leaving it, in that of leaving `beside`: the larger, the sooner all
    is within, and the longer it takes until nothing is smoother.
    """
    to_corners = corner_displacements(*size)
    basis = _moved_directions(np.concatenate([held, beside]) @ to_corners.T)
    if not basis.size:
        return np.zeros_like(beside)
    along, held = beside @ to_corners.T @ basis, held @ to_corners.T @ basis
    known = np.concatenate([begun, times])
    every = np.concatenate([known, times[-1] + TYPICAL_STEP * np.arange(1, _UNBOUNDED + 1)])
    along = np.concatenate([along, np.zeros((_UNBOUNDED, along.shape[1]))])
    within = np.concatenate([np.tile(margin, (len(times), 1)), np.full((_UNBOUNDED, len(margin)), np.inf)])
    step = _bounded(every, -along, held, basis, within, cutoff_hz, iterations, penalty)
    return _from_corners((step - along)[: len(times)] @ basis.T, to_corners)


def _from_corners(corners: np.ndarray, to_corners: np.ndarray) -> np.ndarray:
    """Motion vectors (N, 8) from the displacements (N, 8) of corners."""
    return np.linalg.lstsq(to_corners, corners.T, rcond=None)[0].T


def _moved_directions(corners: np.ndarray) -> np.ndarray:
    """Orthonormal basis (8, D) of the corner displacements that occur, so that a similarity path stays one."""
    _, strength, directions = np.linalg.svd(corners, full_matrices=False)
    return directions[strength > 1e-6 * max(strength.max(initial=0.0), 1e-9)].T


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
    """A smooth path near 0, less `path` (N, D) in the basis, its corners at most `margin` (N, 8) off."""
    banded, target = normal_equations(times, np.zeros_like(path), np.ones(len(path)), cutoff_hz, held)
    pull = penalty * time_shares(times)[len(held) :, None]
    banded[-1] += pull[:, 0]
    factor = cholesky_banded(banded)
    allowed = np.zeros((len(path), margin.shape[-1]))
    dual = np.zeros_like(allowed)
    step = np.zeros_like(path)
    for _ in range(iterations):
        step = cho_solve_banded((factor, False), target + pull * (path + (allowed - dual) @ basis)) - path
        corners = step @ basis.T
        relaxed = _RELAXATION * corners + (1.0 - _RELAXATION) * allowed
        allowed = np.clip(relaxed + dual, -margin, margin)
        dual += relaxed - allowed
        if np.abs(corners - allowed).max() < _TOLERANCE_PX:
            break
    return step
