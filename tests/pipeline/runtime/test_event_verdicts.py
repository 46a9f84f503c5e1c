"""What a host of a fleet has been allowed to tell of, as its stages see it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pipeline.runtime import event_verdicts
from pipeline.runtime.event_verdicts import EventVerdicts, MayTell


def test_a_run_of_no_fleet_may_tell_of_everything(tmp_path: Path) -> None:
    assert MayTell(None)("one.begin", time.time()) and MayTell(tmp_path)("one.begin", time.time())


def test_what_the_fleet_has_taken_may_be_told_and_what_it_refused_may_not(tmp_path: Path) -> None:
    verdicts, may_tell = EventVerdicts(tmp_path), MayTell(tmp_path)
    assert may_tell("one.begin", time.time()) is None
    verdicts.add("one.begin", True)
    verdicts.add("two.begin", False)
    assert may_tell("one.begin", time.time()) is True and may_tell("two.begin", time.time()) is False
    assert may_tell("one.end", time.time()) is None


def test_no_verdict_is_awaited_for_what_an_earlier_run_saw_or_is_too_old(tmp_path: Path) -> None:
    before = time.time()
    verdicts, may_tell = EventVerdicts(tmp_path), MayTell(tmp_path)
    assert may_tell("earlier.end", before - 1) is True
    verdicts.add("late.end", False)
    assert may_tell("late.end", time.time() + 3600) is False and may_tell("old.end", time.time() + 3600) is True


def test_the_file_keeps_the_newest_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_verdicts, "_MOST", 4)
    verdicts, may_tell = EventVerdicts(tmp_path), MayTell(tmp_path)
    for number in range(20):
        verdicts.add(f"{number}.end", False)
        assert may_tell(f"{number}.end", time.time()) is False
    assert may_tell("0.end", time.time()) is None
    assert len((tmp_path / "event_verdicts").read_text().splitlines()) <= 8
