"""Motion events in one SQLite file, beside the logs: written by a run, read by everybody.

``docs/events.md`` has the schema. The file survives its writer's death at any moment: it is in WAL mode, and each event
is one transaction. Several processes may write and read at once.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from raftline.event_database.event import LABELS, Bar, Event, Filter
from raftline.event_database.schema import migrate, translated

NAME = "events.db"
_WAIT_SECONDS = 10.0
"""How long to wait while another process writes; each writes for milliseconds."""
_COLUMNS = tuple(field.name for field in fields(Event) if field.name != "number")
_TOLD_AGAIN = 2
"""`stale`: 0, of this run; 1, of an earlier run over the same file; 2, of both."""
_LIVED = ("label", "labelled_at", "clip")
"""What others write: a run that tells an event again leaves them."""


class EventDatabase:
    """An open event database."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Use `open`."""
        self.path, self._connection = path, connection

    @classmethod
    @contextlib.contextmanager
    def opened(cls, path: Path) -> Iterator[EventDatabase]:
        """`open`, and closed at the end."""
        database = cls.open(path)
        try:
            yield database
        finally:
            database.close()

    @classmethod
    def open(cls, path: Path) -> EventDatabase:
        """Open the file, which is made if it is not there. Raises `DatabaseError`."""
        with translated(path):
            connection = sqlite3.connect(path, _WAIT_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            with translated(path):
                connection.row_factory = sqlite3.Row
                connection.execute("PRAGMA synchronous = NORMAL")
                migrate(path, connection)
        except BaseException:
            connection.close()
            raise
        connection.create_function("touches", 2, _touches, deterministic=True)
        return cls(path, connection)

    def close(self) -> None:
        """Close it."""
        self._connection.close()

    def put(self, event: Event) -> None:
        """Write an event, or what is now known of it: there is one with each `uid`. Raises `DatabaseError`."""
        values = {name: getattr(event, name) for name in _COLUMNS}
        for name, empty in (("zones", ()), ("path", ()), ("features", {})):
            values[name] = json.dumps(values[name] or empty, separators=(",", ":"))
        columns, places = ", ".join(_COLUMNS), ", ".join(f":{name}" for name in _COLUMNS)
        changed = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name not in ("uid", *_LIVED))
        self._execute(
            f"INSERT INTO events ({columns}) VALUES ({places}) ON CONFLICT (uid) DO UPDATE SET {changed}, "
            f"stale = {_TOLD_AGAIN} * (stale > 0)",
            values,
        )

    def find(self, wanted: Filter, most: int = 100, before: tuple[float, int] | None = None) -> list[Event]:
        """Events, the newest first.

        Args:
            wanted: Which.
            most: How many.
            before: `Event.at` and `Event.number` of the last one that was had, to go on after it.
        """
        where, values = _condition(wanted)
        if before is not None:
            where, values = f"{where} AND (at, number) < (?, ?)", [*values, *before]
        rows = self._execute(f"SELECT * FROM events {where} ORDER BY at DESC, number DESC LIMIT ?", [*values, most])
        return [_event(row) for row in rows]

    def count(self, wanted: Filter) -> int:
        """How many there are."""
        where, values = _condition(wanted)
        return next(iter(self._execute(f"SELECT count(*) FROM events {where}", values)))[0]

    def bars(self, wanted: Filter, begin: float, seconds: float) -> list[Bar]:
        """Events per part of the time, `seconds` long each from `begin` on; parts without any are left out."""
        where, values = _condition(replace(wanted, begin=begin))
        rows = self._execute(
            f"SELECT CAST((at - ?) / ? AS INTEGER) AS part, count(*), max(peak_area) FROM events {where} "
            "GROUP BY part ORDER BY part",
            [begin, seconds, *values],
        )
        return [Bar(begin + part * seconds, events, area) for part, events, area in rows]

    def get(self, number: int) -> Event | None:
        """The event with this number."""
        return next((_event(row) for row in self._execute("SELECT * FROM events WHERE number = ?", [number])), None)

    def sources(self) -> list[str]:
        """Names of the sources that have events."""
        return self._distinct("SELECT min(source) FROM events WHERE source > ?", ())

    def span(self, sources: Sequence[str] | None = None) -> tuple[float, float] | None:
        """Begin of the first event and of the last one; None without any."""
        ends = [
            self._execute(f"SELECT {end}(at) FROM events WHERE source = ?", [source])[0][0]
            for source in (self.sources() if sources is None else sources)
            for end in ("min", "max")
        ]
        known = [at for at in ends if at is not None]
        return (min(known), max(known)) if known else None

    def zones(self, sources: Sequence[str] | None = None) -> list[str]:
        """Names of all zones that events were in."""
        sql = "SELECT min(zones) FROM events WHERE source = ? AND zones > ?"
        found = [self._distinct(sql, (source,)) for source in (self.sources() if sources is None else sources)]
        return sorted({zone for lists in found for text in lists for zone in json.loads(text)})

    def _distinct(self, next_sql: str, values: Sequence[Any]) -> list[str]:
        """One step in an index for each value, however many rows have it."""
        found: list[str] = []
        while (text := self._execute(next_sql, [*values, found[-1] if found else ""])[0][0]) is not None:
            found.append(text)
        return found

    def label(self, number: int, label: str | None) -> bool:
        """Say what an event was: one of `LABELS`, None to take it back. Returns whether there is such an event."""
        if label is not None and label not in LABELS:
            raise ValueError(f"a label is {' or '.join(LABELS)}, found {label!r}")
        at = None if label is None else time.time()
        return self._changed("UPDATE events SET label = ?, labelled_at = ? WHERE number = ?", [label, at, number])

    def set_clip(self, uid: str, clip: str | None) -> bool:
        """Say where an event's clip lies, relative to the database. Returns whether there is such an event."""
        return self._changed("UPDATE events SET clip = ? WHERE uid = ?", [clip, uid])

    def delete(self, number: int) -> bool:
        """Delete an event that has ended; its files stay. Returns whether there was one."""
        return self._changed("DELETE FROM events WHERE number = ? AND until IS NOT NULL", [number])

    def begin_source(self, source: str, live: bool) -> None:
        """A source begins anew: what a killed run left open is over, and the events of a file are to be told again."""
        if live:
            self._execute(
                "UPDATE events SET until = max(at, at + peak_seconds - begin_seconds), end_seconds = peak_seconds, "
                "cut_short = 1 WHERE source = ? AND until IS NULL",
                [source],
            )
        else:
            self._execute("UPDATE events SET stale = 1 WHERE source = ?", [source])

    def end_source(self, source: str) -> None:
        """A file has ended: what was not told again since `begin_source` is not there any more."""
        self._execute("DELETE FROM events WHERE source = ? AND stale = 1", [source])
        self._execute("UPDATE events SET stale = 0 WHERE source = ? AND stale > 0", [source])

    def fail_source(self, source: str) -> None:
        """A file has failed: what is new since `begin_source` does not count, and what was there before does."""
        self._execute("DELETE FROM events WHERE source = ? AND stale = 0", [source])
        self._execute("UPDATE events SET stale = 0 WHERE source = ?", [source])

    def _changed(self, sql: str, values: Sequence[Any]) -> bool:
        with translated(self.path):
            return self._connection.execute(sql, values).rowcount > 0

    def _execute(self, sql: str, values: Any = ()) -> list[sqlite3.Row]:
        with translated(self.path):
            return self._connection.execute(sql, values).fetchall()


def _touches(cells: bytes | None, wanted: bytes) -> bool:
    return bool(cells) and int.from_bytes(cells or b"", "big") & int.from_bytes(wanted, "big") != 0


def _condition(wanted: Filter) -> tuple[str, list[Any]]:
    parts: list[tuple[str, Any]] = [
        ("at >= ?", wanted.begin),
        ("at < ?", wanted.end),
        ("peak_area >= ?", wanted.least_area),
        ("peak_area <= ?", wanted.most_area),
        ("speed_px_s >= ?", wanted.least_speed_px_s),
        ("speed_px_s <= ?", wanted.most_speed_px_s),
        ("EXISTS (SELECT 1 FROM json_each(zones) WHERE value = ?)", wanted.zone),
        ("coalesce(label, 'none') = ?", wanted.label),
        ("touches(cells, ?)", wanted.cells),
        ("clip = ?", wanted.clip),
    ]
    given = [(sql, value) for sql, value in parts if value is not None]
    conditions, values = [sql for sql, _ in given], [value for _, value in given]
    if wanted.sources is not None:
        conditions.insert(0, f"source IN ({', '.join('?' * len(wanted.sources))})")
        values = [*wanted.sources, *values]
    return f"WHERE {' AND '.join(conditions) or '1'}", values


def _event(row: sqlite3.Row) -> Event:
    values = {name: row[name] for name in (*_COLUMNS, "number")}
    values["zones"] = tuple(json.loads(values["zones"]))
    values["path"] = tuple(map(tuple, json.loads(values["path"])))
    values["features"] = json.loads(values["features"])
    for name in ("live", "uncertain", "cut_short"):
        values[name] = bool(values[name])
    return Event(**values)
