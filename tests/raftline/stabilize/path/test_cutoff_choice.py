from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from raftline.stabilize.path.cutoff_choice import INTENDED_HZ, SWAY_HZ, with_cutoff
from raftline.stabilize.path.path_smoothing import CameraPath, PathLimits, smooth_clip
from tests.raftline.synthetic_motion import HEIGHT, WIDTH, band, shaken_path

TIMES = np.arange(300) / 30


FEW = 100
AUTO = PathLimits(max_zoom="auto")


def cutoff_hz(runs: list[CameraPath]) -> float:
    return with_cutoff(runs, AUTO).cutoff_hz


def run_of(path: np.ndarray, times: np.ndarray = TIMES) -> CameraPath:
    return CameraPath(times, np.diff(path, axis=0, prepend=path[:1]), np.zeros(len(path), bool), WIDTH, HEIGHT)


def swaying(times: np.ndarray, seed: int = 0) -> np.ndarray:
    """A path (N, 8) that moves at all frequencies, the less the faster."""
    path = np.zeros((len(times), 8))
    for column in (2, 5):
        octaves = enumerate((0.1, 0.2, 0.4, 0.8, 1.6, 3.2))
        path[:, column] = sum(band(times, hz, 2 * hz, 8.0 / 1.5**k, 10 * seed + column + k) for k, hz in octaves)
    return path


@pytest.mark.parametrize("pan_px_s", [0.0, 30.0])
def test_movement_that_is_set_apart_from_shake_is_meant(pan_px_s: float) -> None:
    assert cutoff_hz([run_of(shaken_path(TIMES, pan_px_s=pan_px_s)[1])]) == INTENDED_HZ


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_hand_that_sways_at_all_frequencies_means_less(seed: int) -> None:
    assert cutoff_hz([run_of(swaying(TIMES, seed))]) == SWAY_HZ


def test_a_fixed_camera_that_shakes_and_short_shots_are_no_sway() -> None:
    base, shaken = shaken_path(TIMES)
    assert cutoff_hz([run_of(shaken - base)]) == INTENDED_HZ
    assert cutoff_hz([run_of(shaken[first : first + 75], TIMES[:75]) for first in range(0, 300, 75)]) == INTENDED_HZ


@pytest.mark.parametrize("downwards", [0.0, 0.7])
def test_a_pan_that_sets_out_and_stops_is_meant_in_any_direction(downwards: float) -> None:
    speed_px_s = np.interp(TIMES, [3.0, 3.4, 6.0, 6.4], [0.0, 100.0, 100.0, 0.0])
    base, shaken = shaken_path(TIMES)
    path = shaken - base
    path[:, 2] += np.cumsum(speed_px_s) / 30
    path[:, 5] += downwards * np.cumsum(speed_px_s) / 30
    assert cutoff_hz([run_of(path)]) == INTENDED_HZ


@pytest.mark.parametrize("frames", [0, 1, 2, 5])
def test_few_frames_say_nothing(frames: int) -> None:
    path = swaying(TIMES)[:frames]
    assert cutoff_hz([run_of(path, TIMES[:frames])] if frames else []) == INTENDED_HZ


def acceleration(path: np.ndarray) -> float:
    return float(np.diff(path, 2, axis=0).std())


@pytest.mark.parametrize("seed", [0, 2, 3])
def test_a_short_clip_that_probably_sways_is_held_calmer_within_the_zoom_that_it_needs_anyway(seed: int) -> None:
    run = run_of(swaying(TIMES, seed)[:FEW], TIMES[:FEW])
    usual = smooth_clip([run], PathLimits(INTENDED_HZ, max_zoom="auto"))
    limits = with_cutoff([run], AUTO)
    calm = smooth_clip([run], limits)
    assert limits.cutoff_hz == SWAY_HZ
    assert calm.zoom <= usual.zoom * 1.003
    assert acceleration(calm.steady[0]) < 0.7 * acceleration(usual.steady[0])


@pytest.mark.parametrize("options", [{}, {"max_zoom": 1.03}, {"zooming": "none"}, {"zooming": "dynamic"}])
def test_a_likely_sway_never_takes_more_zoom_than_is_allowed(options: dict[str, Any]) -> None:
    run = run_of(swaying(TIMES, 2)[:FEW], TIMES[:FEW])
    limits = with_cutoff([run], replace(AUTO, **options))
    assert limits.cutoff_hz == SWAY_HZ
    assert isinstance(limits.max_zoom, float) and limits.max_zoom <= options.get("max_zoom", 1.15)


def test_a_tripod_and_a_short_clip_that_hardly_shakes_have_no_sway_to_remove() -> None:
    path = swaying(TIMES, 2)[:FEW]
    assert with_cutoff([run_of(path, TIMES[:FEW])], replace(AUTO, tripod=True)) == replace(
        AUTO, tripod=True, cutoff_hz=INTENDED_HZ
    )
    assert with_cutoff([run_of(path / 1e3, TIMES[:FEW])], AUTO) == replace(AUTO, cutoff_hz=INTENDED_HZ)
