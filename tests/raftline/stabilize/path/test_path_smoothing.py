from __future__ import annotations

import numpy as np
import pytest

from raftline.camera.transforms import motion_matrices, motion_vectors
from raftline.stabilize.path.path_smoothing import CameraPath, PathLimits, camera_path, smooth_clip, smooth_path
from raftline.stabilize.path.smoothing_kernel import steady_times
from raftline.stabilize.warp.crop import covers, zoom_matrix
from tests.raftline.synthetic_motion import HEIGHT, WIDTH, jitter_px, shaken_path, similarity

TIMES = np.arange(240) / 30


def run_of(path: np.ndarray, times: np.ndarray = TIMES, duplicates: np.ndarray | None = None) -> CameraPath:
    motions = np.diff(path, axis=0, prepend=path[:1])
    return CameraPath(times, motions, np.zeros(len(path), bool) if duplicates is None else duplicates, WIDTH, HEIGHT)


def vectors(corrections: np.ndarray, zoom: float) -> np.ndarray:
    return motion_vectors(np.linalg.inv(zoom_matrix(zoom, WIDTH, HEIGHT)) @ corrections, WIDTH, HEIGHT)


@pytest.mark.parametrize("method", ["optimal", "gaussian"])
def test_shake_goes_and_the_base_path_stays(method) -> None:
    base, shaken = shaken_path(TIMES)
    smooth = smooth_path(TIMES, shaken, 0.6, method)
    assert jitter_px(shaken - base) > 20 * jitter_px(smooth - base)
    # a Gaussian that stops the shake also bends what lies just under the cutoff
    followed = (smooth - base)[:, 2]
    assert np.abs(followed - followed.mean()).max() < (0.01 if method == "optimal" else 0.03) * WIDTH


@pytest.mark.parametrize("method", ["optimal", "gaussian"])
def test_a_steady_pan_is_kept_to_its_ends(method) -> None:
    path = np.zeros((50, 8))
    path[:, 2] = 4.0 * np.arange(50)
    # px of 200; what the prior of a slope takes off
    np.testing.assert_allclose(smooth_path(TIMES[:50], path, 0.5, method), path, atol=1e-2)


def test_times_decide_and_not_frames() -> None:
    rng = np.random.default_rng(0)
    uneven = np.sort(rng.choice(np.arange(960), 300, replace=False)) / 120
    base, shaken = shaken_path(uneven)
    smooth = smooth_path(uneven, shaken, 0.6)
    at_even = np.stack([np.interp(TIMES[3:-3], uneven, (smooth - base)[:, k]) for k in range(8)], axis=1)
    even_in = np.stack([np.interp(TIMES[3:-3], uneven, (shaken - base)[:, k]) for k in range(8)], axis=1)
    assert jitter_px(even_in) > 10 * jitter_px(at_even)


def test_times_that_repeat_or_run_backwards_still_grow() -> None:
    times = steady_times(np.array([0.0, 0.04, 0.04, 0.03, np.nan, 0.2, 0.24]))
    assert (np.diff(times) > 0).all()
    assert times[-1] - times[-2] == pytest.approx(0.04)


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5])
def test_short_runs_are_smoothed_too(frames: int) -> None:
    shaken = shaken_path(TIMES)[1][:frames]
    clip = smooth_clip([run_of(shaken, TIMES[:frames])], PathLimits())
    assert clip.corrections[0].shape == (frames, 3, 3)
    assert np.isfinite(clip.corrections[0]).all()


def test_the_zoom_is_the_least_that_leaves_no_border() -> None:
    _, shaken = shaken_path(TIMES)
    clip = smooth_clip([run_of(shaken)], PathLimits(max_zoom=2.0))
    assert 1.0 < clip.zoom < 2.0 and clip.shrunk_frames == 0
    assert covers(clip.corrections[0], WIDTH, HEIGHT).all()
    tighter = zoom_matrix(0.999, WIDTH, HEIGHT) @ clip.corrections[0]
    assert not covers(tighter, WIDTH, HEIGHT).all()


@pytest.mark.parametrize(("times_the_shake", "least", "most"), [(1.0, 1.0, 1.15), (3.0, 1.2, 1.4), (9.0, 1.4, 1.4)])
def test_an_automatic_zoom_is_what_the_shake_asks_for(times_the_shake: float, least: float, most: float) -> None:
    base, shaken = shaken_path(TIMES)
    clip = smooth_clip([run_of(base + times_the_shake * (shaken - base))], PathLimits(0.6, max_zoom="auto"))
    assert least <= clip.zoom <= most
    assert covers(clip.corrections[0], WIDTH, HEIGHT).all()


def test_one_stumble_is_not_worth_a_larger_zoom() -> None:
    base, shaken = shaken_path(TIMES)
    path = base + 0.3 * (shaken - base)
    path[100:104, 2] += 0.15 * WIDTH
    assert smooth_clip([run_of(path)], PathLimits(0.6, max_zoom="auto")).zoom == pytest.approx(1.15)


def test_the_correction_of_an_unmeasured_frame_lies_between_its_neighbors() -> None:
    motions = run_of(shaken_path(TIMES)[1]).motions
    motions[51] += motions[50]
    motions[50] = 0.0
    unmeasured = np.arange(len(TIMES)) == 50
    run = CameraPath(TIMES, motions, np.zeros(len(TIMES), bool), WIDTH, HEIGHT, unmeasured)
    shifts = smooth_clip([run], PathLimits(max_zoom=2.0)).corrections[0][:, :2, 2]
    np.testing.assert_allclose(shifts[50], (shifts[49] + shifts[51]) / 2, atol=1e-2)


def test_a_tight_zoom_bounds_the_correction_and_stays_smooth() -> None:
    base, shaken = shaken_path(TIMES)
    free = smooth_clip([run_of(shaken)], PathLimits(max_zoom=2.0))
    assert free.zoom > 1.08
    tight = smooth_clip([run_of(shaken)], PathLimits(max_zoom=1.08))
    assert tight.zoom == 1.08
    assert covers(tight.corrections[0], WIDTH, HEIGHT).all()
    left = jitter_px(vectors(tight.corrections[0], 1.08) + shaken - base)
    assert left < jitter_px(shaken - base) / 5


def test_a_similarity_path_gets_similarity_corrections_also_when_bounded() -> None:
    _, shaken = shaken_path(TIMES)
    tight = smooth_clip([run_of(shaken)], PathLimits(max_zoom=1.05)).corrections[0]
    np.testing.assert_allclose(tight[:, 0, 0], tight[:, 1, 1], atol=1e-9)
    np.testing.assert_allclose(tight[:, 0, 1], -tight[:, 1, 0], atol=1e-9)
    np.testing.assert_allclose(tight[:, 2], [[0, 0, 1]] * len(tight), atol=1e-12)


def test_an_impossible_path_is_cut_down_and_leaves_no_border() -> None:
    path = np.zeros((120, 8))
    path[:, 2] = 400.0 * (np.arange(120) % 2)
    clip = smooth_clip([run_of(path, TIMES[:120])], PathLimits(max_zoom=1.1))
    assert covers(clip.corrections[0], WIDTH, HEIGHT).all()


def test_duplicates_repeat_the_correction_and_disturb_nothing() -> None:
    _, shaken = shaken_path(TIMES)
    duplicates = np.arange(len(TIMES)) % 6 == 5
    seen = shaken.copy()
    seen[duplicates] = seen[np.flatnonzero(duplicates) - 1]
    clip = smooth_clip([run_of(seen, duplicates=duplicates)], PathLimits(max_zoom=2.0))
    correction = clip.corrections[0]
    np.testing.assert_array_equal(correction[duplicates], correction[np.flatnonzero(duplicates) - 1])
    smooth = vectors(correction, clip.zoom) + seen
    own = ~duplicates
    plain = smooth_clip([run_of(shaken)], PathLimits(max_zoom=2.0))
    reference = vectors(plain.corrections[0], plain.zoom) + shaken
    assert np.abs(smooth[own] - reference[own]).max() < 1.5


def test_a_cut_starts_a_path_of_its_own() -> None:
    _, shaken = shaken_path(TIMES)
    alone = smooth_clip([run_of(shaken)], PathLimits(min_zoom=1.5, max_zoom=1.5))
    both = smooth_clip([run_of(shaken), run_of(shaken[::-1] + 500)], PathLimits(min_zoom=1.5, max_zoom=1.5))
    np.testing.assert_allclose(both.corrections[0], alone.corrections[0])
    assert covers(both.corrections[1], WIDTH, HEIGHT).all()


def test_a_path_is_made_from_matrices() -> None:
    matrices = np.stack([np.eye(3), similarity(2, 0), similarity(0, 1)])
    run = camera_path(matrices, np.array([0, 0.1, 0.2]), np.zeros(3, bool), WIDTH, HEIGHT)
    np.testing.assert_allclose(run.motions[:, [2, 5]], [[0, 0], [2, 0], [0, 1]], atol=1e-9)


def test_a_clip_without_frames_has_no_corrections() -> None:
    assert smooth_clip([], PathLimits()).corrections == []


@pytest.mark.parametrize("noise_px", [0.0, 0.03])
def test_a_still_clip_is_left_as_it_is(noise_px: float) -> None:
    path = np.random.default_rng(0).normal(0, noise_px, (30, 8))
    clip = smooth_clip([run_of(path, TIMES[:30])], PathLimits())
    assert clip.zoom == 1.0
    np.testing.assert_allclose(clip.corrections[0], np.broadcast_to(np.eye(3), (30, 3, 3)), atol=1e-9)


def test_an_end_does_not_follow_the_last_shake() -> None:
    base, shaken = shaken_path(TIMES)
    run = run_of(shaken)
    clip = smooth_clip([run], PathLimits(0.6, max_zoom=2.0))
    left = vectors(clip.corrections[0], clip.zoom) + shaken - base
    for end in (slice(0, 20), slice(-20, None)):
        bent = np.diff(left[end][:, [2, 5]], 2, axis=0)
        shaking = np.diff((shaken - base)[end][:, [2, 5]], 2, axis=0)
        assert np.abs(bent).max() < np.abs(shaking).max() / 20


def test_turn_and_shift_composed_leave_no_shake() -> None:
    times = np.arange(150) / 30
    path = np.zeros((150, 8))
    path[:, 2] = 10 * np.sin(2 * np.pi * 4 * times)
    turn_px = 2.0 * np.sin(2 * np.pi * 3 * times + 1)
    path[:, 1], path[:, 3] = -turn_px, turn_px
    steps = motion_matrices(np.diff(path, axis=0, prepend=path[:1]), WIDTH, HEIGHT)
    clip = smooth_clip([run_of(path, times)], PathLimits(0.6, max_zoom=2.0))
    unzoomed = np.linalg.inv(zoom_matrix(clip.zoom, WIDTH, HEIGHT)) @ clip.corrections[0]
    shown = unzoomed[1:] @ steps[1:] @ np.linalg.inv(unzoomed[:-1])
    # added, not composed, vectors leave steps of about 10 px * 2 / 184 / 2 = 0.05 px
    assert np.abs(motion_vectors(shown, WIDTH, HEIGHT))[20:-20].max() < 0.03
