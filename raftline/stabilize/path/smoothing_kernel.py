"""The linear core of path smoothing: penalised least squares in time, at uneven steps."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solveh_banded

ORDER = 3
TYPICAL_STEP = 1.0 / 30.0
"""s, where no two samples tell it."""


def steady_times(times_seconds: np.ndarray) -> np.ndarray:
    """Strictly growing times (N,) from presentation times that may repeat, run backwards or be NaN.

    A step that is missing, negative or under a quarter of the median step becomes the median or that quarter.
    """
    times = np.asarray(times_seconds, np.float64)
    if len(times) < 2:
        return np.zeros(len(times))
    steps = np.diff(times)
    good = steps[np.isfinite(steps) & (steps > 0)]
    typical = float(np.median(good)) if good.size else TYPICAL_STEP
    steps = np.where(np.isfinite(steps) & (steps > 0), np.maximum(steps, typical / 4), typical)
    return np.concatenate([[0.0], np.cumsum(steps)])


def derivative_rows(times: np.ndarray, order: int = ORDER) -> tuple[np.ndarray, np.ndarray]:
    """Derivative of `order` at uneven times (N,): coefficients (N - order, order + 1), and seconds of each row.

    Row i acts on samples i .. i + order (divided differences times order factorial).
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
    """Seconds that each sample (N,) stands for."""
    if len(times) < 2:
        return np.ones(len(times))
    return np.gradient(times)


def penalised_least_squares(times: np.ndarray, path: np.ndarray, weights: np.ndarray, cutoff_hz: float) -> np.ndarray:
    """The path (N, D) that stays near `path` with as little change of acceleration as `cutoff_hz` asks for.

    Where samples are many, movement of f Hz keeps 1 / (1 + (f / cutoff_hz)^6) of itself. Arguments as in
    `normal_equations`.
    """
    if len(times) < 2:
        return np.array(path, np.float64)
    banded, target = normal_equations(times, path, weights, cutoff_hz)
    return solveh_banded(banded, target)


def normal_equations(
    times: np.ndarray, path: np.ndarray, weights: np.ndarray, cutoff_hz: float, held: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Matrix, as `scipy.linalg.solveh_banded` takes it, and right hand side (N, D) of the smooth path.

    weights (N,) >= 0 scale the pull of each sample of path (N, D). held (K, D): smooth samples before `path` that
    cannot change any more. times (K + N,) seconds, at least 2, strictly growing.
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
    """Add the terms of samples row + i and row + j >= row + i; those with a known sample go to the right hand side."""
    before = len(known)
    first = min(max(before - i, 0), len(products))
    columns = np.arange(first, len(products)) + j - before
    banded[order - (j - i), columns] += products[first:]
    for row in range(max(before - j, 0), first):
        target[row + j - before] -= products[row] * known[row + i]
