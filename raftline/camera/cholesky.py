"""Linear equations of symmetric positive definite matrices, and of their roots.

scipy.linalg solves them, too, but takes 0.2 CPU seconds of every start to load.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from raftline.kernels.compiled import compiled


class BandedCholesky:
    """The root of a banded matrix, with which equations are solved."""

    def __init__(self, banded: np.ndarray) -> None:
        """Decompose a matrix.

        Args:
            banded: (K + 1, N) float64, its diagonal and the K above: ``banded[K - k, k:]`` is the k-th of them.

        Raises:
            numpy.linalg.LinAlgError: If it is not positive definite.
        """
        self._root = np.empty(banded.shape[::-1])
        if not _root_of_banded(np.asarray(banded, np.float64), self._root):
            raise np.linalg.LinAlgError("the matrix is not positive definite")

    def solve(self, right: np.ndarray) -> np.ndarray:
        """Return the solution, (N,) or (N, D) float64 as `right` is."""
        solution = np.array(right, np.float64, order="C")
        _solve_banded(self._root, solution.reshape(len(solution), -1))
        return solution


def solve_lower(root: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the solution (N, D) of equations with a lower triangular matrix, `root` (N, N), and `right` (N, D)."""
    solution = np.array(right, np.float64, order="C")
    _solve_lower(np.ascontiguousarray(root, np.float64), solution)
    return solution


@compiled
def _root_of_banded(banded: Any, root: Any) -> bool:
    """Write the lower root (N, K + 1), row i of which holds columns i - K to i; False if there is none."""
    bands = banded.shape[0] - 1
    for i in range(banded.shape[1]):
        for k in range(bands, -1, -1):
            j = i - k
            if j < 0:
                root[i, bands - k] = 0.0
                continue
            left = banded[bands - k, i]
            for m in range(max(i - bands, j - bands, 0), j):
                left -= root[i, m - i + bands] * root[j, m - j + bands]
            if k:
                root[i, bands - k] = left / root[j, bands]
            elif left > 0.0:
                root[i, bands] = np.sqrt(left)
            else:
                return False
    return True


@compiled
def _solve_banded(root: Any, solution: Any) -> None:
    """Solve for the columns of `solution` (N, D), in place; `root` as `_root_of_banded` writes it."""
    count, bands, columns = root.shape[0], root.shape[1] - 1, solution.shape[1]
    for i in range(count):
        for m in range(max(i - bands, 0), i):
            for d in range(columns):
                solution[i, d] -= root[i, m - i + bands] * solution[m, d]
        for d in range(columns):
            solution[i, d] /= root[i, bands]
    for i in range(count - 1, -1, -1):
        for m in range(i + 1, min(i + bands + 1, count)):
            for d in range(columns):
                solution[i, d] -= root[m, i - m + bands] * solution[m, d]
        for d in range(columns):
            solution[i, d] /= root[i, bands]


@compiled
def _solve_lower(root: Any, solution: Any) -> None:
    """Solve for the columns of `solution` (N, D), in place."""
    for i in range(root.shape[0]):
        for m in range(i):
            for d in range(solution.shape[1]):
                solution[i, d] -= root[i, m] * solution[m, d]
        for d in range(solution.shape[1]):
            solution[i, d] /= root[i, i]
