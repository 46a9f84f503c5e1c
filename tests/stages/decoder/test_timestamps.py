"""Times that grow stay as they are; the others are mended, no two alike."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from stages.decoder.timestamps import PresentationTimes

MILLI = Fraction(1, 1000)


def _place(times: list[int | None], time_base: Fraction = MILLI, rate: int = 25) -> tuple[list[int], int]:
    clock = PresentationTimes(time_base, Fraction(rate))
    return [clock.next_pts(pts) for pts in times], clock.repaired


def test_times_that_grow_are_kept_whatever_their_steps():
    times: list[int | None] = [-80, 0, 1, 2, 900, 901, 10_000_000]
    assert _place(times) == (times, 0)


def test_a_time_that_repeats_or_runs_backwards_a_little_moves_half_a_step_on():
    assert _place([0, 40, 40, 80]) == ([0, 40, 60, 80], 1)
    assert _place([0, 120, 80, 160]) == ([0, 120, 140, 160], 1)


def test_a_missing_time_is_one_step_on():
    assert _place([0, 40, None, 120]) == ([0, 40, 80, 120], 1)
    assert _place([None, None, None]) == ([0, 40, 80], 3)


def test_a_clock_that_is_reset_goes_on_from_where_it_was():
    assert _place([5000, 5040, 0, 40, 90]) == ([5000, 5040, 5080, 5120, 5170], 1)


def test_a_small_step_back_of_a_slow_stream_is_no_new_clock():
    # At one frame in 2 s, 3 s back are two frames back.
    clock = PresentationTimes(MILLI, Fraction(1, 2))
    assert [clock.next_pts(pts) for pts in (0, 10_000, 7_000, 14_000)] == [0, 10_000, 11_000, 14_000]


def test_coarse_units_still_grow():
    assert _place([0, 1, 1, 1, 4], Fraction(1, 30), 30) == ([0, 1, 2, 3, 4], 2)


def test_after_a_reconnect_time_goes_on_by_the_gap():
    clock = PresentationTimes(Fraction(1, 90000), Fraction(25))
    assert clock.next_pts(900_000) == 900_000
    clock.resume(2.0)
    assert [clock.next_pts(pts) for pts in (0, 3600, 7200)] == [1_080_000, 1_083_600, 1_087_200]
    assert clock.repaired == 0


def test_after_a_reconnect_the_first_time_may_be_missing_and_the_units_others():
    clock = PresentationTimes(Fraction(1, 1000), Fraction(25))
    clock.next_pts(10_000)
    clock.resume(1.0)
    units = Fraction(1, 90000)
    assert [clock.next_pts(pts, units) for pts in (None, 180_000, 183_600)] == [11_000, 11_040, 11_080]


def test_a_connection_that_is_the_first_keeps_its_times():
    clock = PresentationTimes(MILLI, Fraction(25))
    clock.resume(0.0)
    assert [clock.next_pts(pts) for pts in (7, 40, 90)] == [7, 40, 90]


def test_a_leap_is_reported_before_it_is_taken():
    clock = PresentationTimes(MILLI, Fraction(25))
    assert clock.leap(5000) == 0
    clock.next_pts(1000)
    assert clock.leap(4500) == Fraction(7, 2)
    assert clock.leap(None) == 0


@given(st.lists(st.one_of(st.none(), st.integers(-(10**9), 10**12)), min_size=1, max_size=60))
def test_whatever_comes_the_times_grow_strictly(times):
    placed, _ = _place(times)
    assert all(after > before for before, after in pairwise(placed))
