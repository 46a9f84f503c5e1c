from __future__ import annotations

import numpy as np
import pytest

from raftline.camera.normal_equations import invert, reweigh
from raftline.camera.robust_fit import weighted_median
from raftline.camera.robust_weights import TUKEY_SIGMAS, tukey_weights


@pytest.mark.parametrize("points", [0, 1, 511, 512, 1300])
def test_sums_in_blocks_are_the_matrix_products(points: int) -> None:
    rng = np.random.default_rng(points)
    design, flow, residual = rng.normal(size=(2, 5, points)), rng.normal(size=(2, points)), 3.0 * rng.random(points)
    weights, robust, normal, right = rng.random(points), np.empty(points), np.empty((5, 5)), np.empty(5)
    reweigh(design, flow, weights, residual, 2.0, robust, normal, right)
    wanted = weights * tukey_weights(residual, 2.0 / TUKEY_SIGMAS)
    np.testing.assert_allclose(robust, wanted, atol=1e-12)
    np.testing.assert_allclose(normal, sum((rows * wanted) @ rows.T for rows in design), atol=1e-9)
    np.testing.assert_allclose(right, sum((rows * wanted) @ along for rows, along in zip(design, flow, strict=True)))


@pytest.mark.parametrize("parameters", [1, 4, 10])
def test_a_normal_matrix_is_inverted_and_its_condition_told(parameters: int) -> None:
    rows = np.random.default_rng(parameters).normal(size=(parameters, 30)) * np.arange(1.0, parameters + 1)[:, None]
    normal, inverse = rows @ rows.T, np.empty((parameters, parameters))
    condition = invert(normal, inverse)
    np.testing.assert_allclose(inverse, np.linalg.inv(normal), rtol=1e-9, atol=1e-12)
    exact = float(np.linalg.cond(normal))
    assert exact * (1 - 1e-9) <= condition <= parameters * exact * (1 + 1e-9)


def test_a_matrix_that_is_not_positive_definite_has_no_condition() -> None:
    assert invert(np.array([[1.0, 2.0], [2.0, 1.0]]), np.empty((2, 2))) == np.inf


def test_theweighted_median_is_that_of_the_sorted_values() -> None:
    rng = np.random.default_rng(0)
    for count in (1, 2, 3, 7, 30, 200):
        for levels in (1, 3, 1000):  # many values alike, and few
            values, weights = rng.integers(0, levels, count) / 7.0, rng.integers(0, 4, count).astype(np.float64)
            weights[rng.integers(count)] += 1.0
            order = np.argsort(values)
            cumulative = np.cumsum(weights[order])
            wanted = values[order[np.searchsorted(cumulative, cumulative[-1] / 2)]]
            assert weighted_median(values.copy(), weights.copy()) == wanted
