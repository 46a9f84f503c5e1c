from __future__ import annotations

import numpy as np
import pytest

from raftline.stabilize.path.slow_movement import BEGIN_PRIORS, SlowMovement, fit_slow_movement, slow_path
from raftline.stabilize.path.smoothing_kernel import time_shares
from tests.raftline.synthetic_motion import band, jitter_px, shaken_path

TIMES = np.arange(150) / 30


def fitted(times: np.ndarray, path: np.ndarray) -> SlowMovement:
    return fit_slow_movement(times, path, 0.6, time_shares(times), 5 / 6)


def test_slow_movement_is_told_from_shake_to_the_very_ends() -> None:
    base, shaken = shaken_path(TIMES)
    found = fitted(TIMES, shaken)(TIMES)
    ends = np.r_[0:10, 140:150]
    error_px = np.abs(found - base)[ends][:, [2, 5]].max()
    # shake of sigma 3 px at 1-8 Hz; of 20 frames at the ends the best linear estimate leaves about 1 px
    assert error_px < 0.35 * np.abs(shaken - base)[:, [2, 5]].max()


def test_it_goes_on_where_the_samples_end() -> None:
    base, shaken = shaken_path(np.arange(165) / 30)
    found = fitted(TIMES, shaken[:150])(np.arange(150, 165) / 30)
    line = np.polyval(np.polyfit(TIMES[-21:], shaken[129:150, 2], 1), np.arange(150, 165) / 30)
    assert np.abs(found[:, 2] - base[150:, 2]).max() < np.abs(line - base[150:, 2]).max()


def test_a_camera_that_only_shakes_has_no_slow_movement() -> None:
    base, shaken = shaken_path(TIMES)
    found = fitted(TIMES, shaken - base)(TIMES)
    assert np.abs(found - found.mean(axis=0))[:, [2, 5]].max() < 0.6


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_few_samples_are_enough(frames: int) -> None:
    path = shaken_path(TIMES)[1][:frames]
    assert np.isfinite(fitted(TIMES[:frames], path)(np.array([-1.0, 0.0, 1.0]))).all()


def test_an_even_movement_goes_on_evenly() -> None:
    path = np.stack([4.0 * TIMES, -2.0 * TIMES], axis=1)
    later = np.arange(-20, 170) / 30
    # what the prior of the slope takes off is under a thousandth of a px
    np.testing.assert_allclose(fitted(TIMES, path)(later), np.stack([4.0 * later, -2.0 * later], axis=1), atol=1e-3)
    np.testing.assert_allclose(slow_path(TIMES, path, 0.6), path, atol=1e-3)


def test_the_ends_of_a_short_shot_shake_little_more_than_its_middle() -> None:
    """After a cut a path begins anew: what its ends shake is what a cut costs."""
    base, shaken = shaken_path(TIMES)
    left = slow_path(TIMES, shaken, 0.6) - base
    # 30 where the end is told from shake that is white noise
    assert jitter_px(shaken - base) > 50 * jitter_px(left)
    for end in (slice(0, 10), slice(140, 150)):
        moved = np.diff(left[end][:, [2, 5]], axis=0)
        assert np.abs(moved).max() < np.abs(np.diff((shaken - base)[end][:, [2, 5]], axis=0)).max() / 10


def test_a_long_path_is_told_in_windows_as_it_would_be_at_once() -> None:
    times = np.arange(1500) / 30
    base, shaken = shaken_path(times)
    found = slow_path(times, shaken, 0.6)
    assert jitter_px(shaken - base) > 50 * jitter_px(found - base)
    middle = slice(600, 900)
    alone = slow_path(times[450:1050], shaken[450:1050], 0.6)[150:450]
    apart = found[middle] - alone
    # px; 5 s from the end of either window
    assert np.abs(apart).max() < 0.3


def test_a_rate_higher_than_needed_and_a_long_pause_are_borne() -> None:
    fine = np.arange(2400) / 240
    times = np.concatenate([fine, fine + 500.0])
    base, shaken = shaken_path(fine)
    path = np.concatenate([shaken, shaken])
    found = slow_path(times, path, 0.6)
    assert jitter_px(shaken - base, 240.0) > 50 * jitter_px(found[:2400] - base, 240.0)


def test_movement_with_nothing_between_it_and_the_shake_is_told_apart_more_sharply() -> None:
    times = np.arange(300) / 30
    slow, shake = band(times, 0.1, 0.45, 8.0, 1)[:, None], band(times, 1.0, 8.0, 5.0, 2)[:, None]
    between = band(times, 0.55, 0.95, 5.0, 3)[:, None]
    apart = slow_path(times, slow + shake, 0.6) - slow
    mixed = slow_path(times, slow + shake + between, 0.6) - slow
    assert np.std(apart) < 0.1 * np.std(slow)
    assert np.std(apart) < 0.5 * np.std(mixed) < 0.5 * np.std(between)


def test_half_a_second_that_shakes_is_told_better_where_both_axes_say_so() -> None:
    """No axis alone has much to say of whether the camera moves; that one stands makes it likelier of the other."""
    times = np.arange(24) / 30
    wrong = []
    for together in ((), (0, 1)):
        slow = []
        for seed in range(40):
            path = np.column_stack([band(np.arange(300) / 30, 1, 8, 6.0, 2 * seed + axis)[:24] for axis in (0, 1)])
            found = fit_slow_movement(times, path, 0.6, time_shares(times), 5 / 6, BEGIN_PRIORS, together)(times)
            slow.append(np.diff(found, axis=0) * 30)
        wrong.append(float(np.sqrt(np.mean(np.square(slow)))))
    assert wrong[1] < 0.95 * wrong[0]


def test_an_axis_that_is_led_does_not_lead_the_other() -> None:
    times = np.arange(90) / 30
    shake = band(np.arange(300) / 30, 1, 8, 3.0, 7)[:90]
    path = np.column_stack([60.0 * times + band(times, 0.05, 0.5, 20.0, 1), shake])
    found = fit_slow_movement(times, path, 0.6, time_shares(times), 5 / 6, BEGIN_PRIORS, (0, 1))(times)[:, 1]
    assert (found - found.mean()).std() < 0.3 * shake.std()
