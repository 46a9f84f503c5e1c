"""Tests of how told events are judged."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.motion_masks.happenings.families import FAMILIES, scene_of
from benchmarks.motion_masks.happenings.scenes import true_events
from benchmarks.motion_masks.happenings.scoring import events_of_masks, faults_of

TRUE = [(2.0, 5.0), (9.0, 12.0)]
EMPTY, FULL = np.zeros((20, 20), bool), np.ones((20, 20), bool)


@pytest.mark.parametrize(
    ("told", "faults"),
    [
        ([(2.2, 4.8), (9.0, 12.3)], []),
        ([(2.2, 4.8)], ["missed"]),
        ([(2.0, 5.0), (6.0, 7.0), (9.0, 12.0)], ["false"]),
        ([(2.0, 12.0)], ["split or merged", "split or merged"]),
        ([(2.0, 3.0), (4.0, 5.0), (9.0, 12.0)], ["split or merged"]),
        ([(2.4, 5.0), (9.0, 12.0)], ["off"]),
        ([(2.0, 5.0), (4.9, 5.1), (9.0, 12.0)], ["split or merged", "overlap"]),
    ],
)
def test_each_fault_is_named(told: list[tuple[float, float]], faults: list[str]) -> None:
    assert faults_of(told, TRUE, 0.1) == faults


def test_where_frames_are_rare_times_are_taken_less_exactly() -> None:
    assert faults_of([(3.0, 5.0), (9.0, 12.0)], TRUE, 1.0) == []


def test_motion_in_a_frame_is_motion_since_the_one_before_and_a_short_pause_ends_no_event() -> None:
    frames = [(float(at), FULL if at in (2, 3, 5, 9) else EMPTY) for at in range(12)]
    assert true_events(frames, 1.0) == [(1.0, 5.0), (8.0, 9.0)]
    assert events_of_masks(frames, 1.0) == [(1.0, 5.0), (8.0, 9.0)]


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_makes_the_same_scene_again_and_another_from_another_seed(family: str) -> None:
    one, again, other = (scene_of(family, seed) for seed in (0, 0, 1))
    assert (one.actors, one.photograph, one.seed) == (again.actors, again.photograph, again.seed)
    assert one.seed != other.seed
    assert one.frame_times[-1] < one.seconds
