"""Robust fit of a plane model to displacements, by reweighted least squares from what `pair_consensus` found.

Constants without another reason were chosen by hand; `python -m benchmarks.bench_stabilization --parts known` shows
their effect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from raftline.camera.normal_equations import invert, reweigh
from raftline.camera.plane_models import PlaneModel
from raftline.camera.robust_weights import TUKEY_SIGMAS
from raftline.kernels.compiled import compiled

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
        points: As in `pair_consensus.consensus`, as the next four are.
        flow: (2, N) px.
        weights: (N,) >= 0.
        half_diagonal: px.
        residual_px: (N,) px: what `consensus` returned.
        threshold_px: Twice the first sigma.

    Returns:
        The fit, or None if the points do not determine the model.
    """
    design = model.design(points, points + flow / half_diagonal)
    parameters, inverse = np.zeros(model.parameters), np.empty((model.parameters, model.parameters))
    robust, residual_px = np.zeros(len(weights)), residual_px.copy()
    sigma = _refine(design, flow, weights, threshold_px, parameters, inverse, robust, residual_px)
    return None if sigma is None else RobustFit(parameters, robust, residual_px, sigma, inverse * sigma**2)


@compiled
def _refine(
    design: Any, flow: Any, weights: Any, threshold_px: Any, parameters: Any, inverse: Any, robust: Any, residual: Any
) -> Any:
    """Iterate from the residuals (N,) on; return sigma, None if the points do not determine the parameters (K,)."""
    count = parameters.size
    normal, right, scratch = np.empty((count, count)), np.empty(count), np.empty((2, weights.size))
    sigma = threshold_px / 2.0
    for _ in range(_ITERATIONS):
        reweigh(design, flow, weights, residual, TUKEY_SIGMAS * sigma, robust, normal, right)
        if not invert(normal, inverse) < _MAX_CONDITION:
            return None
        step = 0.0
        for k in range(count):
            found = 0.0
            for j in range(count):
                found += inverse[k, j] * right[j]
            step = max(step, abs(found - parameters[k]))
            parameters[k] = found
        _lengths(design, flow, parameters, scratch, residual)
        gate = 3.0 * max(sigma, threshold_px / 3.0)
        near = _near(residual, weights, gate, scratch[0], scratch[1])
        sigma = gate / 3.0
        if near:  # the weighted median of the residuals within the gate of 3 sigmas
            sigma = max(weighted_median(scratch[0, :near], scratch[1, :near]) / _RAYLEIGH_MEDIAN, _MIN_SIGMA_PX)
        if step < _CONVERGED_PX:
            break
    return sigma


@compiled
def _near(values: Any, weights: Any, gate: Any, near: Any, near_weights: Any) -> Any:
    """Copy the values (N,) below the gate that have a weight, and the weights; return their count."""
    count = 0
    for n in range(values.size):
        if values[n] < gate and weights[n] > 0.0:
            near[count], near_weights[count] = values[n], weights[n]
            count += 1
    return count


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
def weighted_median(values: Any, weights: Any) -> Any:
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
