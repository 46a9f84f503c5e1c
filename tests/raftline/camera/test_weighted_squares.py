from __future__ import annotations

import numpy as np
import pytest

from raftline.camera.robust_fit import _weighted_median
from raftline.camera.weighted_squares import weighted_squares


@pytest.mark.parametrize("points", [0, 1, 511, 512, 1300])
def test_sums_in_blocks_are_the_matrix_products(points: int) -> None:
    rng = np.random.default_rng(points)
    design, weights, target = rng.normal(size=(5, points)), rng.random(points), rng.normal(size=points)
    normal, right = weighted_squares(design, weights, target)
    np.testing.assert_allclose(normal, (design * weights) @ design.T, atol=1e-9)
    np.testing.assert_allclose(right, (design * weights) @ target, atol=1e-9)


def test_the_weighted_median_is_that_of_the_sorted_values() -> None:
    rng = np.random.default_rng(0)
    for count in (1, 2, 3, 7, 30, 200):
        for levels in (1, 3, 1000):  # many values alike, and few
            values, weights = rng.integers(0, levels, count) / 7.0, rng.integers(0, 4, count).astype(np.float64)
            weights[rng.integers(count)] += 1.0
            order = np.argsort(values)
            cumulative = np.cumsum(weights[order])
            wanted = values[order[np.searchsorted(cumulative, cumulative[-1] / 2)]]
            assert _weighted_median(values.copy(), weights.copy()) == wanted
