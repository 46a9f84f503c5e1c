from __future__ import annotations

import cv2
import numpy as np
import pytest

from raftline.masks.illumination import ExposureTransient, illumination_change, luma_curve

STEP = 0.04
COLORS = np.random.default_rng(0).uniform(40, 200, (30, 30, 3)).astype(np.float32)
KNOWN = np.ones((30, 30), bool)


def test_a_jump_of_the_exposure_settles_for_a_second() -> None:
    exposure = ExposureTransient()
    levels = [30.0 if at == 10 else 0.5 for at in range(60)]
    settling = [exposure.settles(each, at * STEP, STEP) for at, each in enumerate(levels)]
    assert settling.index(True) == 10 and sum(settling) == pytest.approx(1 / STEP, abs=1)


def test_lamps_that_flicker_all_the_time_are_no_jump() -> None:
    exposure = ExposureTransient()
    settling = [exposure.settles(8.0, at * STEP, STEP) for at in range(200)]
    assert not any(settling[100:])
    assert exposure.settles(60.0, 200 * STEP, STEP)


def test_the_same_colors_are_no_change_and_too_few_points_tell_nothing() -> None:
    image = np.rint(COLORS).astype(np.uint8)
    assert illumination_change(image, COLORS, KNOWN).kind == "none"
    few = KNOWN & (np.arange(30) < 5)
    assert illumination_change(255 - image, COLORS, few).kind == "none"


def test_a_curve_never_falls_and_goes_on_beyond_what_was_seen() -> None:
    before = COLORS[..., 0].ravel()
    curve = luma_curve(before, 0.8 * before)
    assert curve.shape == (256,) and np.diff(curve).min() >= 0
    assert curve[60:180] == pytest.approx(0.8 * np.arange(60, 180), abs=1.5)
    assert curve[0] == 0 and curve[255] > curve[200]


@pytest.mark.parametrize(
    "gains", [(1.25, 1.0, 0.75), (0.75, 1.0, 1.25), (1.0, 1.0, 1.2), (1.1, 0.95, 1.2), (0.8, 1.1, 1.0)]
)
@pytest.mark.parametrize("dark_share", [0.0, 0.5, 0.8])
def test_a_white_balance_is_followed_in_images_bright_and_dark(gains: tuple[float, ...], dark_share: float) -> None:
    rng = np.random.default_rng(3)
    scene = rng.uniform(10, 190, (60, 80, 3)).astype(np.float32)
    scene[: round(dark_share * 60)] *= 0.08
    before, now = (cv2.cvtColor(np.rint(each).astype(np.uint8), cv2.COLOR_RGB2YUV) for each in (scene, scene * gains))
    change = illumination_change(now, before.astype(np.float32), np.ones((60, 80), bool))
    assert change.kind == "followed"
    if change.colors is not None:
        lit = before.astype(np.float32) @ change.colors[:, :3].T + change.colors[:, 3]
        assert np.abs(lit - now).max(axis=2).mean() < 2


def test_a_thing_that_moves_through_is_no_change_of_the_colors() -> None:
    rng = np.random.default_rng(4)
    before = rng.uniform(40, 200, (60, 80, 3)).astype(np.float32)
    image = np.rint(before).astype(np.uint8)
    image[20:50, 30:44] = rng.uniform(0, 255, (30, 14, 3)).astype(np.uint8)
    assert illumination_change(image, before, np.ones((60, 80), bool)).kind == "none"
