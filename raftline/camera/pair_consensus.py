"""The motion that most displacements share: a consensus of random pairs.

Constants without another reason were chosen by hand; `python -m benchmarks.bench_stabilization --parts known` shows
their effect.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from raftline.flow.median import median
from raftline.kernels.compiled import compiled

_HYPOTHESES = 160
"""Pairs drawn. A third of the flow agreeing, a pair is good with 1/9: all 160 are bad once in 1.5e8 times."""
_MIN_PAIR_DISTANCE = 0.15
"""Half diagonals between the points of a pair: closer ones tell no turn."""
_SCORED_POINTS = 500
"""Points that each hypothesis is scored on."""
_CENTRE_WEIGHT, _RIM_WEIGHT = 0.3, 1.7
"""Weight of a point in the middle and at the rim, between them by the fourth power. A thing in the middle must then
fill 72 % of the frame to be taken for the world."""


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
    pairs, few = _draws(min(_SCORED_POINTS, points.shape[1]))
    typical = np.array([median(flow[0]), median(flow[1])]) / half_diagonal
    residual_px = np.empty(points.shape[1])
    _consent(points, flow, weights, pairs, few, typical, half_diagonal, threshold_px / half_diagonal, residual_px)
    return residual_px


@functools.lru_cache(maxsize=8)
def _draws(scored: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw uniformly from 0 to 1: pairs of points (2, hypotheses), and the points that score them (scored,)."""
    rng = np.random.default_rng(0)
    return rng.random((2, _HYPOTHESES)), rng.random(scored)


@compiled
def _consent(
    points: Any, flow: Any, weights: Any, pairs: Any, few: Any, typical: Any, half_diagonal: Any, reach: Any,
    residual: Any,
) -> None:  # fmt: skip
    """Write the residuals (N,) px of the best similarity among those of pairs, none and the typical shift (2,)."""
    chance, total = np.empty(weights.size), 0.0
    for n in range(weights.size):
        total += weights[n]
        chance[n] = total
    scored = np.empty((5, few.size))
    _score_on(points, flow, chance, few, half_diagonal, scored)
    best, least = np.array([1.0, 0.0, 0.0, 0.0]), np.inf
    tried = np.empty(4)
    for h in range(-2, pairs.shape[1]):
        if h < 0:
            tried[0], tried[1] = 1.0, 0.0
            tried[2], tried[3] = (0.0, 0.0) if h == -2 else (typical[0], typical[1])
        else:
            first, second = _drawn(chance, pairs[0, h]), _drawn(chance, pairs[1, h])
            if not _similarity_of(points, flow, first, second, half_diagonal, tried):
                continue
        cost = _score(scored, tried, reach)
        if cost < least:
            least = cost
            best[:] = tried
    a, b, x, y = best[0], best[1], best[2], best[3]
    for n in range(weights.size):
        u = points[0, n] + flow[0, n] / half_diagonal - a * points[0, n] + b * points[1, n] - x
        v = points[1, n] + flow[1, n] / half_diagonal - b * points[0, n] - a * points[1, n] - y
        residual[n] = np.sqrt(u * u + v * v) * half_diagonal


@compiled
def _drawn(chance: Any, draw: Any) -> Any:
    """Return the point that a draw from 0 to 1 falls on, of cumulative weights (N,)."""
    wanted, low, high = draw * chance[-1], 0, chance.size - 1
    while low < high:
        middle = (low + high) // 2
        if chance[middle] > wanted:
            high = middle
        else:
            low = middle + 1
    return low


@compiled
def _similarity_of(points: Any, flow: Any, first: Any, second: Any, half_diagonal: Any, found: Any) -> bool:
    """Write turn and shift (4,) of the similarity that two points follow; False if they are too close to each other."""
    x, y = points[0, first] - points[0, second], points[1, first] - points[1, second]
    squared = x * x + y * y
    if not np.sqrt(squared) > _MIN_PAIR_DISTANCE:
        return False
    to_x = x + (flow[0, first] - flow[0, second]) / half_diagonal
    to_y = y + (flow[1, first] - flow[1, second]) / half_diagonal
    a, b = (to_x * x + to_y * y) / squared, (to_y * x - to_x * y) / squared
    found[0], found[1] = a, b
    found[2] = points[0, first] + flow[0, first] / half_diagonal - a * points[0, first] + b * points[1, first]
    found[3] = points[1, first] + flow[1, first] / half_diagonal - b * points[0, first] - a * points[1, first]
    return True


@compiled
def _score_on(points: Any, flow: Any, chance: Any, few: Any, half_diagonal: Any, scored: Any) -> None:
    """Write place, goal and preference (5, M) of the points that are drawn to score hypotheses.

    What moves by itself is more often in the middle, the world around it at the rim.
    """
    most_x, most_y = 1e-9, 1e-9
    for m in range(few.size):
        n = _drawn(chance, few[m])
        scored[0, m], scored[1, m] = points[0, n], points[1, n]
        scored[2, m], scored[3, m] = (
            scored[0, m] + flow[0, n] / half_diagonal,
            scored[1, m] + flow[1, n] / half_diagonal,
        )
        most_x, most_y = max(most_x, abs(scored[0, m])), max(most_y, abs(scored[1, m]))
    for m in range(few.size):
        out = max(abs(scored[0, m]) / most_x, abs(scored[1, m]) / most_y)
        scored[4, m] = _CENTRE_WEIGHT + (_RIM_WEIGHT - _CENTRE_WEIGHT) * out * out * out * out


@compiled(fastmath={"reassoc", "contract"})
def _score(scored: Any, tried: Any, reach: Any) -> Any:
    """Sum the truncated squared residuals of points (5, M) under a similarity (4,), by their preference."""
    a, b, x, y, total = tried[0], tried[1], tried[2], tried[3], 0.0
    each = 1.0 / (reach * reach)
    for m in range(scored.shape[1]):
        u = scored[2, m] - a * scored[0, m] + b * scored[1, m] - x
        v = scored[3, m] - b * scored[0, m] - a * scored[1, m] - y
        total += scored[4, m] * min((u * u + v * v) * each, 1.0)
    return total
