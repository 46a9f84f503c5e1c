"""Robust fit of a plane model to displacements: a consensus of random pairs, refined by reweighted least squares.

Constants without another reason were chosen by hand; `python -m benchmarks.bench_stabilization --parts known` shows
their effect.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from raftline.camera.normal_equations import inverse_of, reweigh
from raftline.camera.plane_models import PlaneModel
from raftline.camera.robust_weights import TUKEY_SIGMAS
from raftline.flow.median import median
from raftline.kernels.compiled import compiled

_HYPOTHESES = 160
"""Pairs drawn. A third of the flow agreeing, a pair is good with 1/9: all 160 are bad once in 1.5e8 times."""
_MIN_PAIR_DISTANCE = 0.15
"""Half diagonals between the points of a pair: closer ones tell no turn."""
_SCORED_POINTS = 500
"""Points that each hypothesis is scored on."""
_ITERATIONS = 8
"""Of reweighting, at most."""
_CONVERGED_PX = 1e-3
"""Step of all parameters at which iterations end."""
_MAX_CONDITION = 1e8
"""Of the normal matrix: beyond, float64 leaves under half of the digits, and the points do not determine the model."""
_MIN_SIGMA_PX = 0.05
"""Flow is no more exact than this."""
_RAYLEIGH_MEDIAN = 1.1774
"""Median length of a two-dimensional Gaussian residual, in sigmas of one axis: sqrt(2 ln 2)."""
_CENTRE_WEIGHT, _RIM_WEIGHT = 0.3, 1.7
"""Weight of a point in the middle and at the rim, between them by the fourth power. A thing in the middle must then
fill 72 % of the frame to be taken for the world."""


@dataclass(frozen=True)
class RobustFit:
    """The result of a fit."""

    parameters: np.ndarray
    """(k,) float64 px, as in `PlaneModel`."""
    weights: np.ndarray
    """(N,) float64: the given weights times the robust ones."""
    residual_px: np.ndarray
    """(N,) float64: length of the residual displacement."""
    sigma_px: float
    """Robust scale of the residual along one axis."""
    covariance: np.ndarray
    """(k, k) float64 px², as if the points were independent."""


def consensus(
    points: np.ndarray, flow: np.ndarray, weights: np.ndarray, half_diagonal: float, threshold_px: float
) -> np.ndarray:
    """Find the similarity that most of the weight agrees with, among those of random pairs of points (RANSAC).

    Hypotheses are scored by truncated squares (MSAC). Pairs are drawn with a fixed seed, so that the same flow always
    gives the same motion.

    Args:
        points: (2, N) centred (see `transforms.centred`).
        flow: (2, N) px.
        weights: (N,) >= 0 with a positive sum.
        half_diagonal: Half the frame's diagonal, px.
        threshold_px: Residual at which squares are truncated, px.

    Returns:
        (N,) px: the length of the residual of each point.
    """
    start = points[0] + 1j * points[1]
    end = start + (flow[0] + 1j * flow[1]) / half_diagonal
    chance = np.cumsum(weights)
    pairs, few = _draws(min(_SCORED_POINTS, len(start)))
    first, second = np.searchsorted(chance, pairs * chance[-1], side="right")
    apart = np.abs(start[first] - start[second]) > _MIN_PAIR_DISTANCE
    first, second = first[apart], second[apart]
    turn = (end[first] - end[second]) / (start[first] - start[second])
    shift = end[first] - turn * start[first]
    typical = median(flow[0]) + 1j * median(flow[1])
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
    """Draw uniformly from 0 to 1: pairs of points (2, hypotheses), and the points that score them (scored,)."""
    rng = np.random.default_rng(0)
    return rng.random((2, _HYPOTHESES)), rng.random(scored)


def _rim_preference(points: np.ndarray) -> np.ndarray:
    """Return weights (N,): what moves by itself is more often in the middle, the world around it at the rim."""
    from_centre = np.abs(points) / np.maximum(np.abs(points).max(axis=1, keepdims=True), 1e-9)
    return _CENTRE_WEIGHT + (_RIM_WEIGHT - _CENTRE_WEIGHT) * from_centre.max(axis=0) ** 4


def refine(
    model: PlaneModel,
    points: np.ndarray,
    flow: np.ndarray,
    weights: np.ndarray,
    half_diagonal: float,
    residual_px: np.ndarray,
    threshold_px: float,
) -> RobustFit | None:
    """Fit a model by iteratively reweighted least squares with Tukey's biweight, from the residuals of a first guess.

    Args:
        model: The model to fit.
        points: As in `consensus`.
        flow: As in `consensus`.
        weights: As in `consensus`.
        half_diagonal: As in `consensus`.
        residual_px: (N,) px: what `consensus` returned.
        threshold_px: As in `consensus`; twice the first sigma.

    Returns:
        The fit, or None if the points do not determine the model.
    """
    design = model.design(points, points + flow / half_diagonal)
    sigma = threshold_px / 2.0
    parameters, inverse = np.zeros(model.parameters), np.eye(model.parameters)
    normal, right = np.empty((model.parameters, model.parameters)), np.empty(model.parameters)
    robust, residual_px, scratch = np.zeros(len(weights)), residual_px.copy(), np.empty((2, len(weights)))
    for _ in range(_ITERATIONS):
        reweigh(design, flow, weights, residual_px, TUKEY_SIGMAS * sigma, robust, normal, right)
        found = inverse_of(normal, _MAX_CONDITION)
        if found is None:
            return None
        inverse = found
        previous = parameters
        parameters = inverse @ right
        _lengths(design, flow, parameters, scratch, residual_px)
        sigma = _scale(residual_px, weights, 3.0 * max(sigma, threshold_px / 3.0), scratch)
        if np.max(np.abs(parameters - previous)) < _CONVERGED_PX:
            break
    return RobustFit(parameters, robust, residual_px, sigma, inverse * sigma**2)


def _scale(residual_px: np.ndarray, weights: np.ndarray, gate_px: float, scratch: np.ndarray) -> float:
    """Return the sigma of one axis, from the weighted median of the residuals within the gate of 3 sigmas."""
    count = _near(residual_px, weights, gate_px, *scratch)
    if not count:
        return gate_px / 3.0
    return max(float(_weighted_median(scratch[0, :count], scratch[1, :count])) / _RAYLEIGH_MEDIAN, _MIN_SIGMA_PX)


@compiled
def _near(values: Any, weights: Any, gate: Any, near: Any, near_weights: Any) -> Any:
    """Copy the values (N,) below the gate that have a weight, and the weights; return their count."""
    count = 0
    for n in range(values.size):
        if values[n] < gate and weights[n] > 0.0:
            near[count], near_weights[count] = values[n], weights[n]
            count += 1
    return count


@compiled(fastmath={"reassoc", "contract"})
def _score(start: Any, end: Any, preference: Any, turn: Any, shift: Any, reach: Any, cost: Any) -> None:
    """Sum the truncated squared residuals of points (N,) under each similarity (H,), all complex, by `preference`."""
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
    """Take the lengths (N,) of the residual of flow (2, N) under parameters (K,) of design (2, K, N)."""
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
    """Return the least value up to which half the weight lies; reorders both (N,).

    Hoare's selection: of the two parts on either side of a pivot, it goes on with the one that holds the median.
    """
    first, last = 0, values.size - 1
    wanted = 0.0
    for n in range(weights.size):  # its method would load scipy.linalg
        wanted += 0.5 * weights[n]
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
