from __future__ import annotations

import numpy as np
from scipy.signal import butter, sosfiltfilt

from raftline.stabilize.path.tail_prediction import tail_prediction

CUTOFF_HZ = 0.6
STEP = 1 / 30
PAST = np.arange(90) * STEP
LATER = (90 + np.arange(90)) * STEP
SHARES = np.full(len(PAST), STEP)


def seen_px(path: np.ndarray) -> float:
    """Rms above 1 Hz."""
    return float(np.sqrt((sosfiltfilt(butter(4, 1.0, "highpass", fs=30, output="sos"), path, axis=0) ** 2).mean()))


def test_what_was_shown_beside_goes_on_without_a_jerk_and_comes_back() -> None:
    apart = np.column_stack([0.5 * PAST**2, np.full(len(PAST), 3.0)])
    later = tail_prediction(PAST, apart, LATER, CUTOFF_HZ, SHARES, begins=False)
    assert np.abs(later[0] - apart[-1]).max() < 0.3
    assert np.abs(later[-1]).max() < 0.4 * np.abs(apart[-1]).max()
    back = apart[-1] * (1 - np.linspace(0, 1, len(LATER)))[:, None]
    assert seen_px(np.concatenate([apart, later])) < 0.5 * seen_px(np.concatenate([apart, back]))


def test_how_far_away_a_path_begins_is_free() -> None:
    apart = np.full((len(PAST), 1), 3.0)
    np.testing.assert_allclose(tail_prediction(PAST, apart, LATER[:15], CUTOFF_HZ, SHARES, begins=True), 3.0, atol=0.05)
    assert tail_prediction(PAST, apart, LATER, CUTOFF_HZ, SHARES, begins=False)[-1, 0] < 1.0


def test_a_drift_that_a_path_begins_with_turns_back_more_gently_than_one_in_its_midst() -> None:
    apart = (2.0 * PAST[:20])[:, None]
    gently, harder = (
        tail_prediction(PAST[:20], apart, LATER - 70 * STEP, CUTOFF_HZ, SHARES[:20], begins) for begins in (True, False)
    )
    assert seen_px(np.concatenate([apart, gently])) < seen_px(np.concatenate([apart, harder]))


def test_uneven_times_tell_the_same() -> None:
    rng = np.random.default_rng(3)
    times = np.sort(rng.choice(np.arange(180), 90, replace=False)) * STEP / 2
    uneven = tail_prediction(times, np.sin(times)[:, None], LATER[:15], CUTOFF_HZ, np.gradient(times), begins=True)
    even = tail_prediction(PAST, np.sin(PAST)[:, None], LATER[:15], CUTOFF_HZ, SHARES, begins=True)
    assert np.abs(uneven - even).max() < 0.15


def test_one_frame_is_enough() -> None:
    for begins in (True, False):
        assert np.isfinite(tail_prediction(PAST[:1], np.ones((1, 2)), PAST[1:3], CUTOFF_HZ, SHARES[:1], begins)).all()
