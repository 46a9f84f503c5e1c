from __future__ import annotations

import json

import numpy as np
import pytest

from raftline.camera.transforms import motion_matrices, motion_vectors
from raftline.stabilize.path.look_ahead import LookAheadSmoother
from raftline.stabilize.path.path_smoothing import CameraPath, PathLimits, smooth_clip
from raftline.stabilize.warp.crop import covers, zoom_matrix
from tests.raftline.synthetic_motion import HEIGHT, WIDTH, jitter_px, shaken_path

TIMES = np.arange(240) / 30


def motions_of(path: np.ndarray) -> np.ndarray:
    return motion_matrices(np.diff(path, axis=0, prepend=path[:1]), WIDTH, HEIGHT)


def corrections_of(smoother: LookAheadSmoother, path: np.ndarray, times: np.ndarray = TIMES) -> np.ndarray:
    due = []
    for time, motion in zip(times, motions_of(path), strict=True):
        due += smoother.push(time, motion)
    return np.array(due + smoother.finish())


def shown_path(corrections: np.ndarray, path: np.ndarray, zoom: float) -> np.ndarray:
    back = np.linalg.inv(zoom_matrix(zoom, WIDTH, HEIGHT))
    return motion_vectors(back @ corrections, WIDTH, HEIGHT) + path


@pytest.mark.parametrize(("look_ahead", "gain"), [(1.0, 20), (0.5, 15), (0.2, 6), (0.0, 2)])
def test_shake_goes_the_more_the_further_it_looks(look_ahead: float, gain: float) -> None:
    base, shaken = shaken_path(TIMES)
    smoother = LookAheadSmoother(WIDTH, HEIGHT, 0.6, look_ahead, zoom=1.25)
    corrections = corrections_of(smoother, shaken)
    assert len(corrections) == len(TIMES)
    assert covers(corrections, WIDTH, HEIGHT).all()
    assert jitter_px(shaken - base) > gain * jitter_px(shown_path(corrections, shaken, 1.25) - base)


@pytest.mark.parametrize("zoom", [1.0, 1.03, 1.1])
def test_no_border_shows_however_small_the_zoom(zoom: float) -> None:
    _, shaken = shaken_path(TIMES[:90], sigma_px=8.0)
    corrections = corrections_of(LookAheadSmoother(WIDTH, HEIGHT, 0.6, 0.3, zoom), shaken, TIMES[:90])
    assert covers(corrections, WIDTH, HEIGHT).all()


def test_a_correction_is_late_by_the_look_ahead_and_no_more() -> None:
    smoother = LookAheadSmoother(WIDTH, HEIGHT, 0.6, 0.5)
    counts = [len(smoother.push(time, np.eye(3))) for time in TIMES[:40]]
    assert counts[:15] == [0] * 15 and counts[15:] == [1] * 25
    assert smoother.pending == 15
    assert len(smoother.finish()) == 15 and smoother.pending == 0


def test_it_goes_on_from_its_state_as_if_nothing_had_happened() -> None:
    _, shaken = shaken_path(TIMES)
    whole = corrections_of(LookAheadSmoother(WIDTH, HEIGHT), shaken)
    smoother, due = LookAheadSmoother(WIDTH, HEIGHT), []
    for at, (time, motion) in enumerate(zip(TIMES, motions_of(shaken), strict=True)):
        if at % 50 == 49:
            smoother = LookAheadSmoother.from_state(json.loads(json.dumps(smoother.state())))
        due += smoother.push(time, motion)
    np.testing.assert_array_equal(np.array(due + smoother.finish()), whole)


def test_the_state_stays_small_at_60_hz_and_two_seconds_ahead() -> None:
    times = np.arange(600) / 60
    _, shaken = shaken_path(times)
    smoother = LookAheadSmoother(WIDTH, HEIGHT, 0.6, 2.0)
    for time, motion in zip(times, motions_of(shaken), strict=True):
        smoother.push(time, motion)
    assert len(json.dumps(smoother.state())) < 32_000


def test_duplicates_repeat_the_correction() -> None:
    _, shaken = shaken_path(TIMES)
    smoother, due = LookAheadSmoother(WIDTH, HEIGHT), []
    for at, (time, motion) in enumerate(zip(TIMES, motions_of(shaken), strict=True)):
        duplicate = at % 6 == 5
        due += smoother.push(time, np.eye(3) if duplicate else motion, duplicate)
    due += smoother.finish()
    for at in range(5, len(TIMES), 6):
        np.testing.assert_array_equal(due[at], due[at - 1])


def test_times_that_are_missing_or_run_backwards_are_borne() -> None:
    smoother = LookAheadSmoother(WIDTH, HEIGHT, 0.6, 0.1)
    due = []
    for time in [0.0, 0.03, None, 0.02, 0.02, 0.1, None, 0.2]:
        due += smoother.push(time, np.eye(3))
    assert len(due + smoother.finish()) == 8


def test_after_the_end_a_new_path_begins() -> None:
    _, shaken = shaken_path(TIMES[:60])
    smoother = LookAheadSmoother(WIDTH, HEIGHT)
    first = corrections_of(smoother, shaken, TIMES[:60])
    np.testing.assert_allclose(corrections_of(smoother, shaken, TIMES[:60] + 9.0), first, atol=0.05)


def test_the_end_of_a_path_is_as_steady_as_its_middle() -> None:
    base, shaken = shaken_path(TIMES[:195])
    path = shaken - base
    shown = shown_path(corrections_of(LookAheadSmoother(WIDTH, HEIGHT, 0.6, 0.5, 1.25), path, TIMES[:195]), path, 1.25)
    jerk_px = np.abs(np.diff(shown, 2, axis=0)).max(axis=1)
    # the last 15 frames are planned at once; planned one by one, from less and less of the past: 6 times the middle's
    assert jerk_px[-15:].max() < 1.5 * jerk_px[60:-20].max()


def test_a_pan_that_does_not_shake_begins_as_evenly_as_it_is() -> None:
    path = np.zeros((90, 8))
    path[:, 2] = 4.0 * np.arange(90)
    shown = shown_path(corrections_of(LookAheadSmoother(WIDTH, HEIGHT, 0.6, 0.5, 1.25), path, TIMES[:90]), path, 1.25)
    # px of 360; with a slope alone that is not expected to be steep, up to 3
    np.testing.assert_allclose(shown - shown[0], path, atol=0.1)


@pytest.mark.parametrize(("zoom", "gain"), [(1.08, 7.0), (1.06, 3.0), (1.05, 1.5)])
def test_of_shake_beyond_the_zoom_no_more_comes_through_than_must(zoom: float, gain: float) -> None:
    base, shaken = shaken_path(TIMES[:150])
    path = shaken - base
    corrections = corrections_of(LookAheadSmoother(WIDTH, HEIGHT, 0.6, 0.5, zoom), path, TIMES[:150])
    assert covers(corrections, WIDTH, HEIGHT).all()
    # where the path is cut off before it is within the margin, 2.1 at a zoom of 1.06, and 1.3 at 1.05
    assert jitter_px(shown_path(corrections, path, zoom)) < jitter_px(path) / gain


def test_half_a_second_ahead_holds_a_shaken_fixed_camera_nearly_as_still_as_the_whole_clip_does() -> None:
    base, shaken = shaken_path(TIMES)
    path = shaken - base
    run = CameraPath(TIMES, np.diff(path, axis=0, prepend=path[:1]), np.zeros(len(TIMES), bool), WIDTH, HEIGHT)
    whole = smooth_clip([run], PathLimits(0.6, max_zoom=1.25))
    offline = jitter_px(shown_path(whole.corrections[0], path, whole.zoom))
    online = jitter_px(shown_path(corrections_of(LookAheadSmoother(WIDTH, HEIGHT, 0.6, 0.5, 1.25), path), path, 1.25))
    assert online < offline / 0.6


def test_a_camera_that_drops_every_sixth_frame_is_held_nearly_as_still() -> None:
    times = np.arange(300) / 30
    _, shaken = shaken_path(times)
    kept = np.arange(300) % 6 != 5
    every = shown_path(corrections_of(LookAheadSmoother(WIDTH, HEIGHT, 0.6, 0.5, 1.25), shaken, times), shaken, 1.25)
    some = corrections_of(LookAheadSmoother(WIDTH, HEIGHT, 0.6, 0.5, 1.25), shaken[kept], times[kept])
    apart = shown_path(some, shaken[kept], 1.25) - every[kept]
    # px; 0.09 with frames as samples of the past, 0.15 with means of three
    assert np.sqrt(np.mean(apart**2)) < 0.12
