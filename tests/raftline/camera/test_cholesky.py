"""Equations of positive definite matrices, beside numpy's dense solution."""

from __future__ import annotations

import numpy as np
import pytest

from raftline.camera.cholesky import BandedCholesky, solve_lower


def banded_matrix(count: int, bands: int) -> tuple[np.ndarray, np.ndarray]:
    """A positive definite matrix (count, count), and its diagonals as `BandedCholesky` takes them."""
    rng = np.random.default_rng(count)
    banded = rng.normal(size=(bands + 1, count))
    banded[-1] = 4.0 * (bands + 1)
    matrix = np.zeros((count, count))
    for above in range(bands + 1):
        values = banded[bands - above, above:]
        matrix += np.diag(values, above) + (np.diag(values, -above) if above else 0.0)
    return matrix, banded


@pytest.mark.parametrize(("count", "bands"), [(40, 3), (30, 11), (3, 2), (2, 1), (1, 0)])
def test_banded_equations_have_the_solution_of_the_whole_matrix(count: int, bands: int) -> None:
    matrix, banded = banded_matrix(count, bands)
    right = np.random.default_rng(1).normal(size=(count, 3))
    equations = BandedCholesky(banded)
    np.testing.assert_allclose(equations.solve(right), np.linalg.solve(matrix, right), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(equations.solve(right[:, 0]), np.linalg.solve(matrix, right[:, 0]), rtol=1e-10)


def test_a_matrix_that_is_not_positive_definite_is_refused() -> None:
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        BandedCholesky(np.array([[0.0, 2.0], [1.0, 1.0]]))


def test_a_triangular_matrix_is_solved_from_its_first_row_on() -> None:
    root = np.tril(np.random.default_rng(2).normal(size=(20, 20))) + 5.0 * np.eye(20)
    right = np.random.default_rng(3).normal(size=(20, 4))
    found = solve_lower(root, right)
    np.testing.assert_allclose(root @ found, right, rtol=1e-10, atol=1e-12)
