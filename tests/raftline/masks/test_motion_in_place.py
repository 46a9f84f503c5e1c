"""Tests of what moves all the time and goes nowhere."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from raftline.masks.motion_in_place import MotionInPlace

ROWS, COLUMNS, STEP_SECONDS = 23, 40, 0.2
FLAG = np.s_[3:6, 10:15]


def cells(*places: tuple[slice, slice]) -> np.ndarray:
    """bool cells that move at some places."""
    found = np.zeros((ROWS, COLUMNS), bool)
    for place in places:
        found[place] = True
    return found


def waves(moving: np.ndarray, at: int) -> np.ndarray:
    """Motion to and fro, px."""
    return moving[..., None] * np.array([3 * (-1) ** at, 0], np.float32)


def last_found(frames: Iterator[np.ndarray], forward: bool = False) -> np.ndarray | None:
    """What is left out after all frames; forward: it moves one way, and not to and fro."""
    in_place, found = MotionInPlace(), None
    for at, moving in enumerate(frames):
        found = in_place.take(moving, waves(moving, 0 if forward else at), STEP_SECONDS)
    return found


def test_what_moves_in_place_is_learned_after_eight_seconds_and_not_before() -> None:
    assert last_found(cells(FLAG) for _ in range(39)) is None
    found = last_found(cells(FLAG) for _ in range(41))
    assert found is not None
    assert np.array_equal(found, cells(FLAG))


def test_a_flag_that_hangs_for_a_while_is_still_known() -> None:
    found = last_found(cells(FLAG) if at < 100 else cells() for at in range(250))
    assert found is not None
    assert np.array_equal(found, cells(FLAG))


def test_a_flag_that_was_taken_down_is_forgotten() -> None:
    assert last_found(cells(FLAG) if at < 60 else cells() for at in range(1000)) is None


def test_things_that_pass_one_after_the_other_are_not_learned() -> None:
    """A car is at each place for a third of the time."""
    assert last_found(cells(np.s_[8:11, at % 15 : COLUMNS : 15]) for at in range(200)) is None


def test_a_road_that_is_always_full_is_not_learned_where_it_leaves_the_frame() -> None:
    assert last_found((cells(np.s_[8:10, :5]) for _ in range(60)), forward=True) is None
    assert last_found(cells(np.s_[8:10, :5]) for _ in range(60)) is not None


def test_what_moves_in_a_large_part_of_the_frame_is_not_learned() -> None:
    assert last_found(cells(np.s_[5:15, 10:20]) for _ in range(60)) is None


def test_somebody_who_passes_what_moves_in_place_is_not_left_out() -> None:
    found = last_found(cells(FLAG, np.s_[4:9, at - 50 : at - 48]) if at > 50 else cells(FLAG) for at in range(70))
    assert found is not None
    assert not found[:, 16:].any()
