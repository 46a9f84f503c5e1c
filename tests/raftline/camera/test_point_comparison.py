from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from raftline.camera.luma_pyramid import AlignmentPoints
from raftline.camera.plane_models import PLANE_MODELS
from raftline.camera.point_comparison import Limits, PointComparison
from raftline.camera.robust_weights import tukey_weights

_LEAST_SIGMA = 0.25
_BASIS = np.zeros((3, 3, 3))
_ONE_LOOK = Limits(iterations=1, converged_px=0.01, least_points=1, most_condition=0.0)
"""No matrix is well conditioned enough for a step."""


def _points(count: int) -> tuple[np.ndarray, AlignmentPoints, np.ndarray]:
    rng = np.random.default_rng(count)
    image = rng.uniform(0, 255, (40, 60)).astype(np.float32)
    local = np.stack([rng.integers(1, 58, count), rng.integers(1, 38, count)]).astype(np.float64)
    there = image[local[1].astype(int), local[0].astype(int)].astype(np.float64)
    value = there - 7.0 - rng.normal(0, 3.0, count)
    points = AlignmentPoints(local, value, rng.normal(size=(2, count)), rng.random(count))
    return image, points, np.stack([*rng.normal(size=(3, count)), np.ones(count)]).astype(np.float32)


def _compared(image: np.ndarray, points: AlignmentPoints, design: np.ndarray, away: np.ndarray) -> PointComparison:
    compare = PointComparison(points, design, _BASIS, _LEAST_SIGMA)
    assert not compare.settle(image, away, 1.0, np.eye(3), _ONE_LOOK)
    return compare


@pytest.mark.parametrize("count", [1, 511, 512, 1300])
def test_the_normal_equations_are_those_of_tukeys_weights(count: int) -> None:
    image, points, design = _points(count)
    compare = _compared(image, points, design, np.eye(3))
    there = image[points.local[1].astype(int), points.local[0].astype(int)]
    difference = there - points.value
    brightness = compare.offsets[-1]
    residual = difference - brightness
    weights = points.trust * tukey_weights(residual, compare.sigmas[0])
    np.testing.assert_allclose(brightness, np.median(difference), atol=0.2 if count > 1 else 0.1)
    np.testing.assert_allclose(compare.normal, (design * weights) @ design.T, rtol=1e-3, atol=1e-3 * count)
    np.testing.assert_allclose(compare.right, (design * weights) @ residual, rtol=1e-3, atol=1e-3 * count)


def test_sigma_is_that_of_the_noise_and_never_less_than_the_least() -> None:
    image, points, design = _points(5000)
    compare = _compared(image, points, design, np.eye(3))
    assert compare.sigmas[0] == pytest.approx(3.0, rel=0.05)
    same = AlignmentPoints(
        points.local, image[points.local[1].astype(int), points.local[0].astype(int)].astype(np.float64),
        points.gradient, points.trust,
    )  # fmt: skip
    compare = _compared(image, same, design, np.eye(3))
    assert compare.sigmas[0] == _LEAST_SIGMA
    assert compare.correlation() == pytest.approx(1.0)


def test_points_outside_count_for_nothing() -> None:
    image, points, design = _points(1000)
    away = np.array([[1.0, 0.0, 30.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    inside = points.local[0] + 30.0 < 59
    compare = _compared(image, points, design, away)
    assert compare.normal[-1, -1] <= points.trust[inside].sum() + 1e-3
    few = PointComparison(points, design, _BASIS, _LEAST_SIGMA)
    assert not few.settle(image, away, 1.0, np.eye(3), replace(_ONE_LOOK, least_points=int(inside.sum()) + 1))
    assert few.sigmas == []


@pytest.mark.parametrize("levels", [1, 200])
def test_a_shift_is_found_even_where_gain_cannot_be_told_from_brightness(levels: int) -> None:
    y, x = np.mgrid[:40, :60]
    image = (60 + levels * np.exp(-((x - 30) ** 2 + (y - 20) ** 2) / 80.0)).astype(np.float32)
    local = np.stack([x[5:-5, 5:-5].ravel(), y[5:-5, 5:-5].ravel()]).astype(np.float64)
    at_x, at_y = local.astype(int)
    gradient = np.stack([np.gradient(image, axis=1)[at_y, at_x], np.gradient(image, axis=0)[at_y, at_x]])
    points = AlignmentPoints(local, image[at_y, at_x].astype(np.float64), gradient, np.ones(len(at_x)))
    gain = np.ones(len(at_x)) if levels == 1 else points.value
    design = np.stack([*gradient, gain, np.ones(len(at_x))]).astype(np.float32)
    moved = cv2.warpAffine(image, np.array([[1.0, 0, 0.4], [0, 1, -0.3]]), (60, 40), flags=cv2.INTER_CUBIC)
    warp, basis = np.eye(3), PLANE_MODELS["translation"].basis
    compare = PointComparison(points, design, basis, 0.01)
    assert compare.settle(moved, np.eye(3), 1.0, warp, Limits(5, 1e-3, 100, 1e8))
    np.testing.assert_allclose(warp[:2, 2], (0.4, -0.3), atol=0.06)
    assert compare.covariance.shape == (2, 2)
