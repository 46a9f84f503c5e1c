"""The linear core of path smoothing: penalized least squares in time, at uneven steps."""

from __future__ import annotations

import numpy as np

from raftline.camera.cholesky import BandedCholesky

ORDER = 3
"""Of the derivative that is penalized: of the jerk, so that a path may accelerate evenly at no cost."""
TYPICAL_STEP = 1.0 / 30.0
"""Seconds between frames where no two samples tell it: the rate of most cameras."""
_MIN_STEP_SHARE = 1 / 4
"""Shortest step, in the median one: keeps divided differences finite."""


def steady_times(times_seconds: np.ndarray) -> np.ndarray:
    """Make presentation times grow strictly.

    A step that is missing or not positive becomes the median step; a shorter one than a quarter of it, that quarter.

    Args:
        times_seconds: (N,) s, which may repeat, run backwards or be NaN.

    Returns:
        (N,) float64 s, from 0.
    """
    times = np.asarray(times_seconds, np.float64)
    if len(times) < 2:
        return np.zeros(len(times))
    steps = np.diff(times)
    good = steps[np.isfinite(steps) & (steps > 0)]
    typical = float(np.median(good)) if good.size else TYPICAL_STEP
    steps = np.where(np.isfinite(steps) & (steps > 0), np.maximum(steps, typical * _MIN_STEP_SHARE), typical)
    return np.concatenate([[0.0], np.cumsum(steps)])


def derivative_rows(times: np.ndarray, order: int = ORDER) -> tuple[np.ndarray, np.ndarray]:
    """Return the derivative at uneven times: divided differences times order factorial.

    Args:
        times: (N,) s, strictly growing.
        order: Of the derivative.

    Returns:
        Coefficients (N - order, order + 1), of which row i acts on samples i to i + order; and the seconds that each
        row stands for, (N - order,).
    """
    rows = len(times) - order
    window = np.stack([times[k : k + rows] for k in range(order + 1)], axis=1)
    coefficients = np.empty((rows, order + 1))
    for k in range(order + 1):
        others = [j for j in range(order + 1) if j != k]
        coefficients[:, k] = 1.0 / np.prod(window[:, [k]] - window[:, others], axis=1)
    factorial = float(np.prod(np.arange(1, order + 1)))
    return coefficients * factorial, (window[:, -1] - window[:, 0]) / order


def time_shares(times: np.ndarray) -> np.ndarray:
    """Return the seconds (N,) that each of the samples at `times` (N,) s stands for."""
    if len(times) < 2:
        return np.ones(len(times))
    return np.gradient(times)


def penalized_least_squares(times: np.ndarray, path: np.ndarray, weights: np.ndarray, cutoff_hz: float) -> np.ndarray:
    """Smooth a path: least squares with a penalty on its third derivative (a smoothing spline).

    Far from the ends, movement of f Hz keeps 1 / (1 + (f / cutoff_hz)^6) of itself.

    Args:
        times: (N,) s, strictly growing.
        path: (N, D) px.
        weights: (N,) >= 0: pull of each sample.
        cutoff_hz: Frequency of which half is kept.

    Returns:
        (N, D) float64 px.
    """
    if len(times) < 2:
        return np.array(path, np.float64)
    banded, target = normal_equations(times, path, weights, cutoff_hz)
    return BandedCholesky(banded).solve(target)


def normal_equations(
    times: np.ndarray, path: np.ndarray, weights: np.ndarray, cutoff_hz: float, held: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the normal equations of the smooth path.

    Args:
        times: (K + N,) s, at least 2, strictly growing.
        path: (N, D) px.
        weights: (N,) >= 0: pull of each sample.
        cutoff_hz: As in `penalized_least_squares`.
        held: (K, D) px: smooth samples before `path` that cannot change any more; None for none.

    Returns:
        Matrix (order + 1, N) as `BandedCholesky` takes it, and right hand side (N, D).
    """
    before = 0 if held is None else len(held)
    order = min(ORDER, len(times) - 1)
    pull = weights * time_shares(times)[before:]
    coefficients, share = derivative_rows(times, order)
    coefficients = coefficients * np.sqrt(share * (2.0 * np.pi * cutoff_hz) ** (-2 * order))[:, None]
    known = np.zeros((before, path.shape[1])) if held is None else np.asarray(held, np.float64)
    banded = np.zeros((order + 1, len(path)))
    banded[order] = pull
    target = pull[:, None] * path
    for i in range(order + 1):
        for j in range(i, order + 1):
            _add_products(banded, target, coefficients[:, i] * coefficients[:, j], i, j, known, order)
    return banded, target


def _add_products(
    banded: np.ndarray, target: np.ndarray, products: np.ndarray, i: int, j: int, known: np.ndarray, order: int
) -> None:
    """Add the terms of samples row + i and row + j, for i <= j; those with a known sample go to the right hand side."""
    before = len(known)
    first = min(max(before - i, 0), len(products))
    columns = np.arange(first, len(products)) + j - before
    banded[order - (j - i), columns] += products[first:]
    for row in range(max(before - j, 0), first):
        target[row + j - before] -= products[row] * known[row + i]
