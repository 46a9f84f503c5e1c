"""Weighted least squares over many points: normal equations in one pass without copies of the design, and inverses."""

from __future__ import annotations

from typing import Any

import numpy as np

from raftline.kernels.compiled import compiled

BLOCK = 512
"""Points whose rows stay in the L1 cache while all their products are taken: 512 x 10 rows x 8 bytes are 40 kB."""


@compiled
def invert(normal: Any, inverse: Any) -> Any:
    """Invert a normal matrix (K, K) float64 into another one, by its Cholesky root.

    Returns:
        Its condition in Frobenius norms, 1 to K times that in Euclid's; infinite if it is not positive definite.
    """
    count = normal.shape[0]
    root = np.zeros((count, count))  # lower; then its inverse
    for i in range(count):
        for j in range(i + 1):
            left = normal[i, j]
            for k in range(j):
                left -= root[i, k] * root[j, k]
            if i > j:
                root[i, j] = left * root[j, j]
            elif left > 0.0:
                root[i, i] = 1.0 / np.sqrt(left)  # of the diagonal, the inverse
            else:
                return np.inf
    for j in range(count):
        for i in range(j + 1, count):
            left = 0.0
            for k in range(j, i):
                left -= root[i, k] * root[k, j]
            root[i, j] = left * root[i, i]
    squares, inverse_squares = 0.0, 0.0
    for i in range(count):
        for j in range(count):
            total = 0.0
            for k in range(max(i, j), count):
                total += root[k, i] * root[k, j]
            inverse[i, j] = total
            squares += normal[i, j] * normal[i, j]
            inverse_squares += total * total
    return np.sqrt(squares) * np.sqrt(inverse_squares)


@compiled(fastmath={"reassoc", "contract"})
def reweigh(
    design: Any, flow: Any, weights: Any, residual: Any, reach: Any, robust: Any, normal: Any, right: Any
) -> None:
    """Weigh points by Tukey's biweight, and take the normal equations of a least-squares fit to both axes.

    A BLAS product of so few rows would be shared out over threads, which wait for each other longer than it takes.

    Args:
        design: (2, K, N) float64.
        flow: (2, N) float64.
        weights: (N,) float64 >= 0.
        residual: (N,) float64.
        reach: Residual at which the biweight reaches 0.
        robust: (N,) float64; set to the weights times the biweight.
        normal: (K, K) float64; set to the normal matrix.
        right: (K,) float64; set to the right hand side.
    """
    axes, count, points = design.shape
    weighted = np.empty(BLOCK)
    normal[:] = 0.0
    right[:] = 0.0
    for first in range(0, points, BLOCK):
        here = min(BLOCK, points - first)
        for n in range(first, first + here):
            near = max(1.0 - (residual[n] / reach) * (residual[n] / reach), 0.0)
            robust[n] = weights[n] * near * near
        for axis in range(axes):
            for i in range(count):
                total = 0.0
                for n in range(here):
                    weighted[n] = design[axis, i, first + n] * robust[first + n]
                    total += weighted[n] * flow[axis, first + n]
                right[i] += total
                for j in range(i + 1):
                    total = 0.0
                    for n in range(here):
                        total += weighted[n] * design[axis, j, first + n]
                    normal[i, j] += total
    for i in range(count):
        for j in range(i):
            normal[j, i] = normal[i, j]
