from __future__ import annotations

import numpy as np
import pytest

from stages.motion.path.path_smoothing import smooth_path
from stages.motion.path.slow_movement import continued, fit_slow_movement
from tests.motion.synthetic import jitter_px, shaken_path

TIMES = np.arange(150) / 30


def test_slow_movement_is_told_from_shake_to_the_very_ends() -> None:
    base, shaken = shaken_path(TIMES)
    found = fit_slow_movement(TIMES, shaken, 0.51)(TIMES)
    ends = np.r_[0:10, 140:150]
    error_px = np.abs(found - base)[ends][:, [2, 5]].max()
    # shake of sigma 3 px at 1-8 Hz; of 20 frames at the ends the best linear estimate leaves about 1 px
    assert error_px < 0.35 * np.abs(shaken - base)[:, [2, 5]].max()


def test_it_goes_on_where_the_samples_end() -> None:
    base, shaken = shaken_path(np.arange(165) / 30)
    found = fit_slow_movement(TIMES, shaken[:150], 0.51)(np.arange(150, 165) / 30)
    line = np.polyval(np.polyfit(TIMES[-21:], shaken[129:150, 2], 1), np.arange(150, 165) / 30)
    assert np.abs(found[:, 2] - base[150:, 2]).max() < np.abs(line - base[150:, 2]).max()


def test_a_camera_that_only_shakes_has_no_slow_movement() -> None:
    base, shaken = shaken_path(TIMES)
    found = fit_slow_movement(TIMES, shaken - base, 0.51)(TIMES)
    assert np.abs(found - found.mean(axis=0))[:, [2, 5]].max() < 0.6


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_few_samples_are_enough(frames: int) -> None:
    path = shaken_path(TIMES)[1][:frames]
    assert np.isfinite(fit_slow_movement(TIMES[:frames], path, 0.51)(np.array([-1.0, 0.0, 1.0]))).all()


def test_an_even_movement_goes_on_evenly() -> None:
    path = np.stack([4.0 * TIMES, -2.0 * TIMES], axis=1)
    times, longer, own = continued(TIMES, path, 0.6)
    # what the prior of the slope takes off is under a thousandth of a px
    np.testing.assert_allclose(longer, np.stack([4.0 * times, -2.0 * times], axis=1), atol=1e-3)
    np.testing.assert_array_equal(longer[own], path)


def test_the_ends_of_a_short_shot_shake_little_more_than_its_middle() -> None:
    """After a cut a path begins anew: what its ends shake is what a cut costs."""
    base, shaken = shaken_path(TIMES)
    times, longer, own = continued(TIMES, shaken, 0.6)
    left = smooth_path(times, longer, 0.6)[own] - base
    assert jitter_px(shaken - base) > 25 * jitter_px(left)
    for end in (slice(0, 10), slice(140, 150)):
        moved = np.diff(left[end][:, [2, 5]], axis=0)
        assert np.abs(moved).max() < np.abs(np.diff((shaken - base)[end][:, [2, 5]], axis=0)).max() / 10
