"""Weighted least squares over many points: normal equations in one pass without copies of the design, and inverses."""

from __future__ import annotations

from typing import Any

import numpy as np

from raftline.kernels.compiled import compiled

_BLOCK = 512
"""Points whose rows stay in the L1 cache while all their products are taken: 512 x 10 rows x 8 bytes are 40 kB."""


def weighted_squares(design: np.ndarray, weights: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the normal equations of a weighted least-squares fit.

    A BLAS product of so few rows would be shared out over threads, which wait for each other longer than it takes.

    Args:
        design: (K, N) float64.
        weights: (N,) float64 >= 0.
        target: (N,) float64.

    Returns:
        Normal matrix (K, K) and right hand side (K,), float64.
    """
    normal, right = np.zeros((len(design), len(design))), np.zeros(len(design))
    _squares(design, weights, target, normal, right)
    return normal, right


def inverse_of(normal: np.ndarray, most_condition: float) -> np.ndarray | None:
    """Invert a normal matrix (K, K) float64; None if its condition is beyond `most_condition`.

    One decomposition tells both, in a third of the time of `np.linalg.cond` and `np.linalg.inv`.
    """
    values, vectors = np.linalg.eigh(normal)
    if not values[0] * most_condition > values[-1]:
        return None
    return (vectors / values) @ vectors.T


@compiled(fastmath={"reassoc", "contract"})  # lets LLVM vectorise the sums
def _squares(design: Any, weights: Any, target: Any, normal: Any, right: Any) -> None:
    count, points = design.shape
    weighted = np.empty(_BLOCK)
    for first in range(0, points, _BLOCK):
        here = min(_BLOCK, points - first)
        for i in range(count):
            total = 0.0
            for n in range(here):
                weighted[n] = design[i, first + n] * weights[first + n]
                total += weighted[n] * target[first + n]
            right[i] += total
            for j in range(i + 1):
                total = 0.0
                for n in range(here):
                    total += weighted[n] * design[j, first + n]
                normal[i, j] += total
    for i in range(count):
        for j in range(i):
            normal[j, i] = normal[i, j]
