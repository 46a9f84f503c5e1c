from __future__ import annotations

from stages.shared.growing_pause import GrowingPause


def test_each_pause_is_twice_the_one_before_up_to_the_longest() -> None:
    pause = GrowingPause(0.5, 3.0)
    assert [pause.failed() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    assert pause.failures == 5


def test_the_first_failure_after_a_success_is_followed_by_the_first_pause() -> None:
    pause = GrowingPause(1.0, 60.0)
    pause.failed()
    pause.failed()
    pause.reset()
    assert (pause.failures, pause.failed()) == (0, 1.0)


def test_years_of_failures_do_not_overflow() -> None:
    pause = GrowingPause(1.0, 30.0)
    pause.failures = 10_000_000
    assert pause.failed() == 30.0
