from __future__ import annotations

import numpy as np
import pytest

from raftline.stabilize.path.cutoff_choice import INTENDED_HZ, SWAY_HZ, choose_cutoff
from raftline.stabilize.path.path_smoothing import CameraPath
from tests.raftline.synthetic_motion import HEIGHT, WIDTH, band, shaken_path

TIMES = np.arange(300) / 30


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
    assert choose_cutoff([run_of(shaken_path(TIMES, pan_px_s=pan_px_s)[1])]) == INTENDED_HZ


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_hand_that_sways_at_all_frequencies_means_less(seed: int) -> None:
    assert choose_cutoff([run_of(swaying(TIMES, seed))]) == SWAY_HZ


def test_a_fixed_camera_that_shakes_and_short_shots_are_no_sway() -> None:
    base, shaken = shaken_path(TIMES)
    assert choose_cutoff([run_of(shaken - base)]) == INTENDED_HZ
    assert choose_cutoff([run_of(shaken[first : first + 75], TIMES[:75]) for first in range(0, 300, 75)]) == INTENDED_HZ


def test_a_pan_that_sets_out_and_stops_is_meant() -> None:
    speed_px_s = np.interp(TIMES, [3.0, 3.4, 6.0, 6.4], [0.0, 100.0, 100.0, 0.0])
    base, shaken = shaken_path(TIMES)
    path = shaken - base
    path[:, 2] += np.cumsum(speed_px_s) / 30
    assert choose_cutoff([run_of(path)]) == INTENDED_HZ


@pytest.mark.parametrize("frames", [0, 1, 2, 5])
def test_few_frames_say_nothing(frames: int) -> None:
    path = swaying(TIMES)[:frames]
    assert choose_cutoff([run_of(path, TIMES[:frames])] if frames else []) == INTENDED_HZ
