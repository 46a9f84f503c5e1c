"""The time that browsers play."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from raftline.web.live.timeline import TICKS, Timeline


def placed(timeline: Timeline, seconds: list[float]) -> list[tuple[int, int]]:
    return [timeline.place(Fraction(each)) for each in seconds]


def test_steady_frames_keep_their_distances() -> None:
    times = [at for at, _ in placed(Timeline(), [5 + index / 10 for index in range(40)])]
    assert [after - before for before, after in pairwise(times)] == [TICKS // 10] * 39


def test_no_step_is_so_long_or_short_that_a_browser_waits_for_a_keyframe() -> None:
    seconds = [0, 0.1, 0.2, 0.3, 9.3, 9.4, 9.4, 9.1, 9.2, 9.9, 30, 30.1]
    found = placed(Timeline(), seconds)
    for (before, duration), (after, _) in pairwise(found):
        assert 0 < after - before < 2 * duration


def test_a_new_clock_goes_on_from_the_old_one_and_frames_are_known_for_a_while() -> None:
    timeline = Timeline()
    placed(timeline, [7, 7.1])
    timeline.cut()
    (at, _), (then, _) = placed(timeline, [100_000, 100_000.1])
    assert TICKS // 10 < at < TICKS and then - at == TICKS // 10
    for index in range(2000):
        timeline.know(index, index * 10)
    assert timeline.time_of(1999) == 19990 and timeline.time_of(5) is None
