"""The schema of the event database, version by version."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

_MIGRATIONS = (
    """
    CREATE TABLE events (
        number INTEGER PRIMARY KEY,
        uid TEXT NOT NULL UNIQUE,
        source TEXT NOT NULL,
        live INTEGER NOT NULL,
        at REAL NOT NULL,
        until REAL,
        begin_seconds REAL NOT NULL,
        end_seconds REAL,
        peak_seconds REAL NOT NULL,
        peak_area REAL NOT NULL,
        speed_px_s REAL,
        direction_degrees REAL,
        uncertain INTEGER NOT NULL,
        cut_short INTEGER NOT NULL,
        width INTEGER NOT NULL,
        height INTEGER NOT NULL,
        zones TEXT NOT NULL,
        path TEXT NOT NULL,
        cells BLOB NOT NULL,
        thumbnail TEXT,
        clip TEXT,
        features TEXT NOT NULL,
        label TEXT,
        labelled_at REAL,
        stale INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX events_by_time ON events (at, source, peak_area);
    CREATE INDEX events_by_source ON events (source, at, peak_area);
    CREATE INDEX events_by_zones ON events (source, zones);
    """,
)
"""What makes the schema of version n that of version n + 1."""


class DatabaseError(Exception):
    """The file is no event database, of a later version, or cannot be read or written."""


def migrate(path: Path, connection: sqlite3.Connection) -> None:
    """Bring a database to this version. Raises `DatabaseError`, or sqlite's own error."""
    version = _version(connection)
    if version == len(_MIGRATIONS):
        return
    if version > len(_MIGRATIONS):
        raise DatabaseError(
            f"{path}: found version {version}, which a later raftline wrote; this one reads up to {len(_MIGRATIONS)}: "
            "update raftline, or move the file away"
        )
    if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise DatabaseError(f"{path}: cannot be written by several processes on this file system; choose another")
    connection.execute("BEGIN IMMEDIATE")
    try:
        for script in _MIGRATIONS[_version(connection) :]:  # another process may have been first
            for statement in filter(str.strip, script.split(";")):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection) -> int:
    return connection.execute("PRAGMA user_version").fetchone()[0]


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Translate errors of SQLite raised inside to `DatabaseError`."""
    try:
        yield
    except sqlite3.Error as error:
        raise DatabaseError(f"{path}: the event database cannot be used: {error}") from error
