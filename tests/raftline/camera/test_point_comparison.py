from __future__ import annotations

import numpy as np
import pytest

from raftline.camera.luma_pyramid import AlignmentPoints
from raftline.camera.point_comparison import PointComparison
from raftline.camera.robust_weights import tukey_weights

_LEAST_SIGMA = 0.25


def _points(count: int) -> tuple[np.ndarray, AlignmentPoints, np.ndarray]:
    rng = np.random.default_rng(count)
    image = rng.uniform(0, 255, (40, 60)).astype(np.float32)
    local = np.stack([rng.integers(1, 58, count), rng.integers(1, 38, count)]).astype(np.float64)
    there = image[local[1].astype(int), local[0].astype(int)].astype(np.float64)
    value = there - 7.0 - rng.normal(0, 3.0, count)
    points = AlignmentPoints(local, value, rng.normal(size=(2, count)), rng.random(count))
    return image, points, np.stack([*rng.normal(size=(3, count)), np.ones(count)]).astype(np.float32)


@pytest.mark.parametrize("count", [1, 511, 512, 1300])
def test_the_normal_equations_are_those_of_tukeys_weights(count: int) -> None:
    image, points, design = _points(count)
    compare, offsets = PointComparison(points, design, _LEAST_SIGMA), np.zeros(1)
    assert compare(image, np.eye(3), offsets) == count
    there = image[points.local[1].astype(int), points.local[0].astype(int)]
    difference = there - points.value
    residual = difference - offsets[0]
    weights = points.trust * tukey_weights(residual, compare.sigmas[0])
    np.testing.assert_allclose(offsets[0], np.median(difference), atol=0.2 if count > 1 else 0.1)
    np.testing.assert_allclose(compare.normal, (design * weights) @ design.T, rtol=1e-3, atol=1e-3 * count)
    np.testing.assert_allclose(compare.right, (design * weights) @ residual, rtol=1e-3, atol=1e-3 * count)


def test_sigma_is_that_of_the_noise_and_never_less_than_the_least() -> None:
    image, points, design = _points(5000)
    compare = PointComparison(points, design, _LEAST_SIGMA)
    compare(image, np.eye(3), np.zeros(1))
    assert compare.sigmas[0] == pytest.approx(3.0, rel=0.05)
    same = AlignmentPoints(
        points.local, image[points.local[1].astype(int), points.local[0].astype(int)].astype(np.float64),
        points.gradient, points.trust,
    )  # fmt: skip
    compare = PointComparison(same, design, _LEAST_SIGMA)
    compare(image, np.eye(3), np.zeros(1))
    assert compare.sigmas[0] == _LEAST_SIGMA
    assert compare.correlation() == pytest.approx(1.0)


def test_points_outside_count_for_nothing() -> None:
    image, points, design = _points(1000)
    away = np.array([[1.0, 0.0, 30.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    compare = PointComparison(points, design, _LEAST_SIGMA)
    inside = points.local[0] + 30.0 < 59
    assert compare(image, away, np.zeros(1)) == inside.sum()
    assert compare.normal[-1, -1] <= points.trust[inside].sum() + 1e-3
