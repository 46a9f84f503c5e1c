"""The events of a run in a file that survives its writer."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from raftline.event_database import DatabaseError, Event, EventDatabase, Filter, cells_of

LEFT, RIGHT = cells_of(lambda column, row: column < 4), cells_of(lambda column, row: column > 27)


def event(uid: str, at: float, source: str = "gate", **values: object) -> Event:
    made = Event(uid, source, True, at, 0.0, 1.0, 0.1, 640, 360, until=at + 5, end_seconds=5.0)
    return replace(made, **values)  # type: ignore[arg-type]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[EventDatabase]:
    with EventDatabase.opened(tmp_path / "events.db") as database:
        yield database


def test_an_event_comes_back_as_it_was_put(database: EventDatabase) -> None:
    path = ((0.0, 1.5, 2.0), (1.0, 3.0, 4.0))
    given = event("a", 100.0, zones=("drive",), path=path, cells=LEFT, features={"frames": 3}, uncertain=True)
    database.put(given)
    assert database.get(1) == replace(given, number=1)
    assert database.get(2) is None


def test_an_event_told_again_is_there_once_and_keeps_what_people_said_of_it(database: EventDatabase) -> None:
    database.put(event("a", 100.0, until=None, end_seconds=None))
    assert database.label(1, "no event") and database.set_clip("a", "gate.recordings/1.mp4")
    database.put(event("a", 100.0, peak_area=0.5))
    (found,) = database.find(Filter())
    assert (found.peak_area, found.until, found.label) == (0.5, 105.0, "no event")
    assert found.clip == "gate.recordings/1.mp4" and found.labelled_at is not None
    assert database.label(1, None) and not database.label(9, "event")
    with pytest.raises(ValueError, match="event or no event"):
        database.label(1, "cat")


def test_events_are_found_by_what_one_asks_for(database: EventDatabase) -> None:
    database.put(event("a", 100.0, zones=("drive",), speed_px_s=10.0, cells=LEFT))
    database.put(event("b", 200.0, "yard", peak_area=0.4, speed_px_s=90.0, cells=RIGHT))
    database.put(event("c", 300.0, zones=('"', "drive"), cells=LEFT))
    database.label(3, "no event")

    def uids(**asked: object) -> str:
        return "".join(each.uid for each in database.find(Filter(**asked)))  # type: ignore[arg-type]

    assert uids() == "cba"
    assert uids(sources=["yard"]) == "b" and uids(sources=[]) == ""
    assert uids(zone="drive") == "ca" and uids(zone='"') == "c" and uids(zone="rive") == ""
    assert uids(begin=200.0) == "cb" and uids(end=200.0) == "a"
    assert uids(least_area=0.2) == "b" and uids(most_area=0.2) == "ca"
    assert uids(least_speed_px_s=50.0) == "b" and uids(most_speed_px_s=50.0) == "a"
    assert uids(label="no event") == "c" and uids(label="none") == "ba"
    assert uids(cells=LEFT) == "ca" and uids(cells=RIGHT) == "b"
    assert database.zones() == ['"', "drive"] and database.zones(["yard"]) == []
    assert database.sources() == ["gate", "yard"] and database.span() == (100.0, 300.0)
    assert database.count(Filter(sources=["gate"])) == 2


def test_pages_of_events_neither_lose_nor_repeat_any(database: EventDatabase) -> None:
    for number in range(5):
        database.put(event(str(number), 100.0))
    first = database.find(Filter(), 2)
    rest = database.find(Filter(), 9, (first[-1].at, first[-1].number))
    assert [each.uid for each in first + rest] == ["4", "3", "2", "1", "0"]


def test_bars_count_events_and_tell_the_largest_area_of_each_part(database: EventDatabase) -> None:
    for uid, at, area in (("a", 99.0, 0.9), ("b", 100.0, 0.1), ("c", 109.0, 0.3), ("d", 125.0, 0.2)):
        database.put(event(uid, at, peak_area=area))
    bars = database.bars(Filter(), 100.0, 10.0)
    assert [(bar.at, bar.events, bar.peak_area) for bar in bars] == [(100.0, 2, 0.3), (120.0, 1, 0.2)]


def test_an_event_that_goes_on_is_not_deleted(database: EventDatabase) -> None:
    database.put(event("a", 100.0, until=None))
    assert not database.delete(1)
    database.put(event("a", 100.0))
    assert database.delete(1) and not database.delete(1)


def test_what_a_killed_run_left_open_is_cut_short_by_the_next(database: EventDatabase) -> None:
    database.put(event("a", 100.0, until=None, end_seconds=None, peak_seconds=3.0))
    database.begin_source("gate", live=True)
    (found,) = database.find(Filter())
    assert (found.until, found.end_seconds, found.cut_short) == (103.0, 3.0, True)


def test_a_file_that_is_looked_through_again_replaces_its_events_but_keeps_labels(database: EventDatabase) -> None:
    for uid in "ab":
        database.put(event(uid, 1.0, live=False))
    database.label(1, "event")
    database.begin_source("gate", live=False)
    database.put(event("a", 1.0, live=False))
    database.put(event("c", 2.0, live=False))
    database.end_source("gate")
    assert [(each.uid, each.label) for each in database.find(Filter())] == [("c", None), ("a", "event")]
    database.begin_source("gate", live=False)
    database.put(event("d", 3.0, live=False))
    database.fail_source("gate")
    assert [each.uid for each in database.find(Filter())] == ["c", "a"]


WRITER = """
import itertools, sys
from pathlib import Path
from raftline.event_database import Event, EventDatabase
database = EventDatabase.open(Path(sys.argv[1]))
for number in itertools.count():
    database.put(Event(str(number), "gate", True, float(number), 0.0, 1.0, 0.1, 640, 360))
    print(number, flush=True)
"""


def test_no_event_that_was_put_is_lost_when_the_writer_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "events.db"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(file)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    said = [int(writer.stdout.readline()) for _ in range(50)]
    os.kill(writer.pid, signal.SIGKILL)
    said += [int(line) for line in writer.communicate()[0].splitlines() if line.strip()]
    with EventDatabase.opened(file) as database:
        assert database.count(Filter()) >= len(said) == said[-1] + 1
    with sqlite3.connect(file) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_the_timeline_is_answered_by_an_index(database: EventDatabase) -> None:
    plans = [
        "SELECT * FROM events WHERE at >= 1 ORDER BY at DESC, number DESC LIMIT 60",
        "SELECT * FROM events WHERE source IN ('a') AND at >= 1 ORDER BY at DESC, number DESC LIMIT 60",
        "SELECT CAST(at / 9 AS INTEGER) AS part, count(*), max(peak_area) FROM events WHERE at >= 1 GROUP BY part",
    ]
    for sql in plans:
        rows = database._execute(f"EXPLAIN QUERY PLAN {sql}")
        assert "INDEX events_by_" in rows[0]["detail"], [row["detail"] for row in rows]


def test_a_database_of_a_later_version_and_a_file_that_is_none_are_refused(tmp_path: Path) -> None:
    later, none = tmp_path / "later.db", tmp_path / "none.db"
    with EventDatabase.opened(later) as database:
        database._execute("PRAGMA user_version = 99")
    none.write_text("this is no database, but a text that is long enough to be taken for one" * 20)
    with pytest.raises(DatabaseError, match="version 99, which a later raftline wrote"):
        EventDatabase.open(later)
    with pytest.raises(DatabaseError, match=r"none\.db: .*not a database"):
        EventDatabase.open(none)
