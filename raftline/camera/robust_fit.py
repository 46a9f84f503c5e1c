"""Robust fit of a plane model to displacements: a consensus of random pairs, refined by reweighted least squares."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from raftline.camera.plane_models import PlaneModel
from raftline.camera.weighted_squares import weighted_squares
from raftline.kernels.compiled import compiled

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

    points (2, N) centred, flow (2, N) px, weights (N,) >= 0 with a positive sum. Pairs are drawn with a fixed seed, so
    that the same flow always gives the same motion.
    """
    start = points[0] + 1j * points[1]
    end = start + (flow[0] + 1j * flow[1]) / half_diagonal
    chance = np.cumsum(weights)
    pairs, few = _draws(min(_SCORED_POINTS, len(start)))
    first, second = np.searchsorted(chance, pairs * chance[-1], side="right")
    apart = np.abs(start[first] - start[second]) > 0.15
    first, second = first[apart], second[apart]
    turn = (end[first] - end[second]) / (start[first] - start[second])
    shift = end[first] - turn * start[first]
    typical = np.median(flow[0]) + 1j * np.median(flow[1])
    turn = np.concatenate([turn, [1.0, 1.0]])
    shift = np.concatenate([shift, [0.0, typical / half_diagonal]])

    scored = np.searchsorted(chance, few * chance[-1], side="right")
    cost = np.empty(len(turn))
    reach = threshold_px / half_diagonal
    _score(start[scored], end[scored], _rim_preference(points[:, scored]), turn, shift, reach, cost)
    best = int(np.argmin(cost))
    return np.abs(end - turn[best] * start - shift[best]) * half_diagonal


@functools.lru_cache(maxsize=8)
def _draws(scored: int) -> tuple[np.ndarray, np.ndarray]:
    """Evenly between 0 and 1: of pairs of points (2, hypotheses), and of points that they are scored by (scored,)."""
    rng = np.random.default_rng(0)
    return rng.random((2, _HYPOTHESES)), rng.random(scored)


def _rim_preference(points: np.ndarray) -> np.ndarray:
    """(N,) between 0.3 and 1.7: what moves by itself is more often in the middle, the world around it at the rim.

    A thing in the middle must fill 72 % of the picture to be taken for the world.
    """
    from_centre = np.abs(points) / np.maximum(np.abs(points).max(axis=1, keepdims=True), 1e-9)
    return 0.3 + 1.4 * from_centre.max(axis=0) ** 4


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

    Arguments as in `consensus`. Returns None where the points do not determine the model.
    """
    design = model.design(points, points + flow / half_diagonal)
    sigma = threshold_px / 2.0
    parameters, inverse = np.zeros(model.parameters), np.eye(model.parameters)
    robust, residual_px, scratch = np.zeros(len(weights)), residual_px.copy(), np.empty((2, len(weights)))
    for _ in range(_ITERATIONS):
        robust = weights * np.maximum(1.0 - (residual_px / (_TUKEY * sigma)) ** 2, 0.0) ** 2
        (normal, right), (more, more_right) = (
            weighted_squares(rows, robust, along) for rows, along in zip(design, flow, strict=True)
        )
        normal += more
        if np.linalg.cond(normal) > 1e8:
            return None
        inverse = np.linalg.inv(normal)
        previous = parameters
        parameters = inverse @ (right + more_right)
        _lengths(design, flow, parameters, scratch, residual_px)
        sigma = _scale(residual_px, weights, gate_px=3.0 * max(sigma, threshold_px / 3.0))
        if np.max(np.abs(parameters - previous)) < 1e-4:
            break
    return RobustFit(parameters, robust, residual_px, sigma, inverse * sigma**2)


def _scale(residual_px: np.ndarray, weights: np.ndarray, gate_px: float) -> float:
    """Weighted median of the residuals within the gate, as the sigma of one axis."""
    near = residual_px < gate_px
    values, weights = residual_px[near], weights[near]
    if not weights.any():
        return gate_px / 3.0
    return max(float(_weighted_median(values, weights)) / _RAYLEIGH_MEDIAN, _MIN_SIGMA_PX)


@compiled(fastmath={"reassoc", "contract"})
def _score(start: Any, end: Any, preference: Any, turn: Any, shift: Any, reach: Any, cost: Any) -> None:
    """Truncated squares of what each similarity (H,) leaves of points (N,), all complex; summed with `preference`."""
    for hypothesis in range(turn.size):
        a, b = turn[hypothesis].real / reach, turn[hypothesis].imag / reach
        x, y = shift[hypothesis].real / reach, shift[hypothesis].imag / reach
        total = 0.0
        for n in range(start.size):
            u = end[n].real / reach - a * start[n].real + b * start[n].imag - x
            v = end[n].imag / reach - b * start[n].real - a * start[n].imag - y
            total += preference[n] * min(u * u + v * v, 1.0)
        cost[hypothesis] = total


@compiled
def _lengths(design: Any, flow: Any, parameters: Any, left: Any, lengths: Any) -> None:
    """Of what parameters (K,) of design (2, K, N) leave of flow (2, N)."""
    for axis in range(2):
        for n in range(lengths.size):
            left[axis, n] = flow[axis, n]
        for k in range(parameters.size):
            for n in range(lengths.size):
                left[axis, n] -= design[axis, k, n] * parameters[k]
    for n in range(lengths.size):
        lengths[n] = np.sqrt(left[0, n] * left[0, n] + left[1, n] * left[1, n])


@compiled
def _weighted_median(values: Any, weights: Any) -> Any:
    """The least value up to which lies half the weight. Both (N,) are put in another order.

    Hoare's selection: of the two parts on either side of a value, only that is looked at which holds the median.
    """
    first, last = 0, values.size - 1
    wanted = 0.5 * weights.sum()
    while first < last:
        low, middle, high = values[first], values[(first + last) // 2], values[last]
        pivot = max(min(low, middle), min(max(low, middle), high))
        i, j, below = first, last, 0.0
        while i <= j:
            while values[i] < pivot:
                below += weights[i]
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                weights[i], weights[j] = weights[j], weights[i]
                below += weights[i]
                i += 1
                j -= 1
        # up to j: at most the pivot; from i on: at least the pivot; between them the pivot itself
        if i - j == 2:
            below -= weights[i - 1]
        if j >= first and below >= wanted:
            last = j
        elif i - j == 2 and below + weights[i - 1] >= wanted:
            return values[i - 1]
        else:
            wanted -= below + (weights[i - 1] if i - j == 2 else 0.0)
            first = i
    return values[min(first, values.size - 1)]
