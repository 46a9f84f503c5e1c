"""Frames at the pace of their time stamps."""

from __future__ import annotations

import threading
from fractions import Fraction

import av
import pytest

from stages.decoder.pacing import paced


class Clock(threading.Event):
    """A clock that goes on while somebody waits for the event, which never comes."""

    seconds = 100.0

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds += timeout or 0.0
        return self.is_set()


def frames_at(*seconds: float) -> list[av.VideoFrame]:
    made = []
    for each in seconds:
        frame = av.VideoFrame(2, 2, "gray")
        frame.pts, frame.time_base = round(each * 1000), Fraction(1, 1000)
        made.append(frame)
    return made


def shown(*seconds: float, busy_seconds: float = 0.0) -> list[float]:
    clock, at = Clock(), []
    for _ in paced(iter(frames_at(*seconds)), clock, lambda: clock.seconds):
        at.append(clock.seconds - 100)
        clock.seconds += busy_seconds
    return at


def test_a_burst_is_shown_at_its_own_pace() -> None:
    assert shown(50, 50.5, 51, 53) == pytest.approx([0, 0.5, 1, 3])


def test_what_is_late_does_not_wait_and_begins_the_pace_anew() -> None:
    assert shown(0, 0.1, 0.2, busy_seconds=2) == pytest.approx([0, 2, 4])


def test_a_clock_that_leaps_begins_the_pace_anew() -> None:
    assert shown(0, 0.5, 9000, 9000.5, 3, 3.5) == pytest.approx([0, 0.5, 0.5, 1, 1, 1.5])


def test_a_stop_ends_the_wait() -> None:
    clock = Clock()
    reading = paced(iter(frames_at(0, 20)), clock, lambda: clock.seconds)
    next(reading)
    clock.set()
    assert list(reading) == []
