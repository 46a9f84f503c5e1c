"""Times of a camera's frames, against the clock of their arrival."""

from __future__ import annotations

from fractions import Fraction

import pytest

from stages.decoder.camera_times import ArrivalTimes, CameraTimes

MILLI = Fraction(1, 1000)


def placed(frames: list[tuple[float, int | None]]) -> tuple[list[int], CameraTimes]:
    """Of (arrival in s, pts in ms)."""
    at = 0.0
    times = CameraTimes(MILLI, now=lambda: at)
    found = []
    for arrived, pts in frames:
        at = arrived
        found.append(times.next_pts(pts))
    return found, times


def test_a_time_that_is_missing_is_that_of_the_arrival() -> None:
    found, times = placed([(0, 0), (1, 1000), (2, None), (3.1, None), (4, 4000)])
    assert found == [0, 1000, 2000, 3100, 4000]
    assert times.repaired == 2


@pytest.mark.parametrize("jump_ms", [44_139_000, -44_139_000, 6_000, -3_000_000])
def test_a_clock_that_is_set_moves_no_time(jump_ms: int) -> None:
    found, times = placed(
        [(0, 50_000_000), (0.04, 50_000_040), (0.08, 50_000_080 + jump_ms), (0.12, 50_000_120 + jump_ms)]
    )
    assert found == [50_000_000, 50_000_040, 50_000_080, 50_000_120]
    assert times.repaired == 1


def test_one_time_far_off_does_not_move_those_after_it() -> None:
    found, _ = placed([(0, 0), (0.04, 40), (0.08, 9_000_000), (0.12, 120), (0.16, 160)])
    assert found == [0, 40, 80, 120, 160]


def test_a_camera_that_was_silent_comes_back_at_its_own_time() -> None:
    found, times = placed([(0, 0), (0.04, 40), (20.0, 20_000), (20.04, 20_040)])
    assert found == [0, 40, 20_000, 20_040]
    assert times.repaired == 0


def test_a_burst_after_a_stall_keeps_the_cameras_steps() -> None:
    found, _ = placed([(0, 0), (0.04, 40), (3.0, 80), (3.0, 120), (3.01, 160), (3.01, 200)])
    assert found == [0, 40, 80, 120, 160, 200]


def test_the_usual_step_is_learnt() -> None:
    _, times = placed([(second, 1000 * second) for second in range(5)])
    assert times.step == 1000
    assert times.leap(5500) == Fraction(3, 2)


def test_a_leap_is_no_longer_than_the_wait_for_the_frame() -> None:
    at = 0.0
    times = CameraTimes(MILLI, now=lambda: at)
    times.next_pts(0)
    at = 2.0
    assert times.leap(44_139_000) == 2
    assert times.leap(4_000) == 4


def test_a_camera_that_tells_no_times_has_those_of_its_frames_arrival() -> None:
    arrivals = [100.0, 100.2, 100.3, 107.3]
    now = [0.0]
    times = ArrivalTimes(lambda: now[0])
    placed = []
    for now[0] in arrivals:
        leap = times.leap(None)
        placed.append(times.next_pts(12345, Fraction(1, 25)))
    assert [float(pts * times.time_base) for pts in placed] == pytest.approx(arrivals)
    assert float(leap) == pytest.approx(7) and times.repaired == 0
