"""Robust fit of a plane model to displacements: a consensus of random pairs, refined by reweighted least squares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.motion.camera.plane_models import PlaneModel

_HYPOTHESES = 160
_SCORED_POINTS = 500
_ITERATIONS = 8
_MIN_SIGMA_PX = 0.05
_TUKEY = 4.685  # 95 % efficiency under Gaussian noise
_RAYLEIGH_MEDIAN = 1.1774  # of the length of a 2D Gaussian residual, in sigmas


@dataclass(frozen=True)
class RobustFit:
    """What a fit found."""

    parameters: np.ndarray
    """(k,) float64 px, as `PlaneModel` has them."""
    weights: np.ndarray
    """(N,) float64: the given weights times the robust ones."""
    residual_px: np.ndarray
    """(N,) float64: length of what the model leaves."""
    sigma_px: float
    """Robust scale of the residual along one axis."""
    covariance: np.ndarray
    """(k, k) float64 px², as if the points were independent."""


def consensus(
    points: np.ndarray, flow: np.ndarray, weights: np.ndarray, half_diagonal: float, threshold_px: float
) -> np.ndarray:
    """Residual lengths (N,) px of the similarity that most weight agrees with, from pairs of points.

    points (N, 2) centred, flow (N, 2) px, weights (N,) >= 0 with a positive sum. Pairs are drawn with a fixed seed, so
    that the same flow always gives the same motion.
    """
    start = points[:, 0] + 1j * points[:, 1]
    end = start + (flow[:, 0] + 1j * flow[:, 1]) / half_diagonal
    rng = np.random.default_rng(0)
    chance = weights / weights.sum()
    first, second = rng.choice(len(start), (2, _HYPOTHESES), p=chance)
    apart = np.abs(start[first] - start[second]) > 0.15
    first, second = first[apart], second[apart]
    turn = (end[first] - end[second]) / (start[first] - start[second])
    shift = end[first] - turn * start[first]
    typical = np.median(flow[:, 0]) + 1j * np.median(flow[:, 1])
    turn = np.concatenate([turn, [1.0, 1.0]])
    shift = np.concatenate([shift, [0.0, typical / half_diagonal]])

    scored = rng.choice(len(start), min(_SCORED_POINTS, len(start)), p=chance)
    residual = np.abs(end[scored] - turn[:, None] * start[scored] - shift[:, None]) * half_diagonal
    cost = np.minimum(residual / threshold_px, 1.0) ** 2
    best = int(np.argmin(cost @ _rim_preference(points[scored])))
    return np.abs(end - turn[best] * start - shift[best]) * half_diagonal


def _rim_preference(points: np.ndarray) -> np.ndarray:
    """(N,) between 0.3 and 1.7: what moves by itself is more often in the middle, the world around it at the rim.

    A thing in the middle must fill 72 % of the picture to be taken for the world.
    """
    from_centre = np.abs(points) / np.maximum(np.abs(points).max(axis=0), 1e-9)
    return 0.3 + 1.4 * from_centre.max(axis=1) ** 4


def refine(
    model: PlaneModel,
    points: np.ndarray,
    flow: np.ndarray,
    weights: np.ndarray,
    half_diagonal: float,
    residual_px: np.ndarray,
    threshold_px: float,
) -> RobustFit | None:
    """Iteratively reweighted least squares (Tukey's biweight) from the residuals of a first guess.

    Returns None where the points do not determine the model.
    """
    design = model.design(points, points + flow / half_diagonal).reshape(-1, model.parameters)
    target = flow.T.ravel()
    sigma = threshold_px / 2.0
    parameters, robust, inverse = np.zeros(model.parameters), np.zeros(len(points)), np.eye(model.parameters)
    for _ in range(_ITERATIONS):
        robust = weights * np.clip(1.0 - (residual_px / (_TUKEY * sigma)) ** 2, 0.0, None) ** 2
        weighted = (design * np.tile(robust, 2)[:, None]).T
        normal = weighted @ design
        if np.linalg.cond(normal) > 1e8:
            return None
        inverse = np.linalg.inv(normal)
        previous = parameters
        parameters = inverse @ (weighted @ target)
        residual_px = np.hypot(*(target - design @ parameters).reshape(2, -1))
        sigma = _scale(residual_px, weights, gate_px=3.0 * max(sigma, threshold_px / 3.0))
        if np.max(np.abs(parameters - previous)) < 1e-4:
            break
    return RobustFit(parameters, robust, residual_px, sigma, inverse * sigma**2)


def _scale(residual_px: np.ndarray, weights: np.ndarray, gate_px: float) -> float:
    """Weighted median of the residuals within the gate, as the sigma of one axis."""
    near = np.flatnonzero(residual_px < gate_px)
    if not near.size or not weights[near].any():
        return gate_px / 3.0
    order = near[np.argsort(residual_px[near])]
    cumulative = np.cumsum(weights[order])
    median = residual_px[order[np.searchsorted(cumulative, cumulative[-1] / 2)]]
    return max(float(median) / _RAYLEIGH_MEDIAN, _MIN_SIGMA_PX)
