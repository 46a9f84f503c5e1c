from __future__ import annotations

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
