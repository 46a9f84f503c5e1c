"""Late is a matter of time: what a reader of a camera drops, and what it does not."""

from __future__ import annotations

import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pipeline.messages import Data, Gap, Header, Mask, MotionEvent
from pipeline.runtime.inbox import Inbox, longest_age_ns
from pipeline.testing import make_frame
from pipeline.transport.base import Entry
from tests.pipeline.running import make_test_plan

FRAME, GAP = Entry("1-0", {b"type": b"Frame"}), Entry("2-0", {b"type": b"Gap"})
SECOND = 10**9
EVENT = MotionEvent(1, 0.1, None, 0.1, 0.05)


def kept(ages_seconds: list[float], longest_ns: int | None, last: list[Entry] | None = None) -> list[bool]:
    """Whether each of the frames of an inbox is kept, the oldest first."""
    inbox = Inbox(longest_ns)
    inbox.put([FRAME] * len(ages_seconds) + (last or []))
    return [not inbox.too_late(inbox.take(), aged(age)) for age in ages_seconds]


def aged(seconds: float) -> Gap:
    return Gap(Header("a", None, Fraction(1), time.time_ns() - round(seconds * SECOND)), "reconnect")


def test_a_burst_that_is_not_old_loses_nothing() -> None:
    assert kept([0.9] * 20, SECOND) == [True] * 20


def test_what_is_too_old_is_dropped_but_the_newest_frame() -> None:
    assert kept([3, 2, 1.5, 0.5], SECOND) == [False, False, False, True]
    assert kept([3, 2, 1.5], SECOND) == [False, False, True]
    assert kept([3, 2], SECOND, last=[GAP]) == [False, True]


def test_nothing_of_a_file_is_late() -> None:
    assert kept([30, 20], None) == [True, True]


def test_gaps_are_never_late() -> None:
    inbox = Inbox(SECOND)
    inbox.put([GAP, FRAME])
    assert not inbox.too_late(inbox.take(), aged(9))
    assert inbox and inbox.take() is FRAME and not inbox


@pytest.mark.parametrize(("events", "once", "late"), [((), False, True), ((EVENT,), False, False), ((), True, False)])
def test_what_tells_of_an_event_is_never_late(events: tuple[MotionEvent, ...], once: bool, late: bool) -> None:
    inbox = Inbox(SECOND)
    inbox.put([FRAME, FRAME])
    header, frame = aged(9).header, make_frame(np.zeros((2, 2), np.uint8))
    message = Data(header, "told", once=True) if once else Mask(header, frame, np.zeros((2, 2), np.uint8), (), events)
    assert inbox.too_late(inbox.take(), message) is late


@pytest.mark.parametrize(("stage", "share"), [("first", 0.75), ("second", 1.0), ("side", 0.75)])
def test_what_the_first_stages_worked_on_is_not_dropped_by_the_last(tmp_path: Path, stage: str, share: float) -> None:
    stages = {
        "first": {"use": "Relay", "reads": "decoder"},
        "second": {"use": "Ledger", "reads": "first"},
        "side": {"use": "Ledger", "reads": "decoder"},
    }
    plan = make_test_plan(tmp_path, stages, policy="live", limits={"max_latency_ms": 400})
    assert longest_age_ns(plan, "a", stage) == round(share * 0.4 * SECOND)
    plan = make_test_plan(tmp_path, stages, policy="lossless")
    assert longest_age_ns(plan, "a", stage) is None


def test_what_was_trimmed_before_it_was_read_is_counted_once() -> None:
    inbox = Inbox(None, read=4)
    numbers = (4, 5, 8, 8, 9)
    assert [inbox.unread(Entry("1-1", {b"n": b"%d" % number})) for number in numbers] == [0, 0, 2, 0, 0]
    assert inbox.unread(Entry("1-1", {})) == 0 and inbox.read == 9
