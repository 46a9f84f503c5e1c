"""A time without Redis: told once when it begins, once when it is over, and not borne for ever."""

from __future__ import annotations

import logging

import pytest

from pipeline.errors import TransportLost
from pipeline.runtime.outage import Outage, patiently

LOST = TransportLost("Redis cannot be reached")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr("pipeline.runtime.outage.time.monotonic", lambda: now[0])
    return now


def test_it_is_told_when_it_begins_and_when_it_is_over(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage("stage flow")
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            outage.lasts(LOST)
            clock[0] += 0.5
        outage.over()
        outage.over()
    told = [record.getMessage() for record in caplog.records]
    assert told == ["stage flow: Redis cannot be reached; trying again", "stage flow: Redis is back after 2.0 s"]


def test_nothing_is_told_where_there_was_none(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    Outage("stage flow").over()
    assert not caplog.records


def test_after_thirty_seconds_the_worker_gives_up(clock: list[float]) -> None:
    outage = Outage("stage flow")
    outage.lasts(LOST)
    clock[0] += 30.0
    outage.lasts(LOST)
    clock[0] += 0.1
    with pytest.raises(TransportLost):
        outage.lasts(LOST)


def test_each_outage_has_a_patience_of_its_own(clock: list[float]) -> None:
    outage = Outage("stage flow")
    for _ in range(3):
        outage.lasts(LOST)
        clock[0] += 20.0
        outage.over()
        clock[0] += 100.0


@pytest.fixture
def slept(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> list[float]:
    seconds: list[float] = []

    def sleep(pause: float) -> None:
        seconds.append(pause)
        clock[0] += pause

    monkeypatch.setattr("pipeline.runtime.outage.time.sleep", sleep)
    return seconds


def test_what_failed_for_want_of_a_connection_is_called_again(slept: list[float]) -> None:
    left = [LOST, LOST, None]

    def call() -> str:
        if (error := left.pop(0)) is not None:
            raise error
        return "done"

    assert patiently(Outage("run a"), call) == "done"
    assert len(slept) == 2 and not left


def test_a_server_that_stays_away_ends_it_and_another_error_at_once(slept: list[float]) -> None:
    def lost() -> None:
        raise LOST

    def wrong() -> None:
        raise ValueError("wrong")

    with pytest.raises(TransportLost):
        patiently(Outage("run a"), lost)
    assert 30 <= sum(slept) <= 31
    with pytest.raises(ValueError, match="wrong"):
        patiently(Outage("run a"), wrong)
