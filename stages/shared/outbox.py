"""Letters that wait on disk until somebody far away has taken them."""

from __future__ import annotations

import fcntl
import json
import logging
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import OutputError
from pipeline.redaction import redact
from stages.shared.growing_pause import GrowingPause

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
"""Between two tries; each is twice the one before. Chosen by hand: a receiver that restarts is back within a minute."""
_BUSY_SECONDS = 10.0
"""How long to wait for the file where another process holds it."""
_LOOK_SECONDS = 0.05
_CLOSE_SECONDS = 3.0
"""For a delivery that is under way when the run ends; it is delivered again by a later run."""
_TABLE = """CREATE TABLE IF NOT EXISTS letters (
    key TEXT PRIMARY KEY, number INTEGER NOT NULL, body TEXT NOT NULL, put_at REAL NOT NULL, done_at REAL, refused TEXT
)"""
_INDEX = "CREATE INDEX IF NOT EXISTS waiting ON letters (number) WHERE done_at IS NULL"
_PUT = "INSERT OR IGNORE INTO letters SELECT ?, COALESCE(MAX(number), 0) + 1, ?, ?, NULL, NULL FROM letters"
_NEXT = "SELECT key, body, put_at FROM letters WHERE done_at IS NULL ORDER BY number LIMIT 1"
_DONE = "UPDATE letters SET done_at = ?, refused = ? WHERE key = ?"


class NotTaken(Exception):
    """The receiver is away or busy: try again."""


class Refused(Exception):
    """The receiver does not want this letter, however often it is offered."""


@dataclass(frozen=True)
class Letter:
    """What is to be delivered."""

    key: str
    """Of its own: a letter that was put twice is delivered once. The receiver may tell a repeat by it: where the power
    fails, or a process is killed, between delivery and the note of it, a letter comes a second time."""
    body: Mapping[str, Any]
    """JSON values."""
    put_at: float
    """When it was put, s since 1970."""


class Outbox:
    """Delivers letters in the order in which they were put, by a thread of its own, and tries until they are taken.

    They are in a file of SQLite from the moment `put` returns, so that neither a receiver that is away nor a kill loses
    any. Keys of what was delivered are kept for `kept_days`: a letter put again after a kill is known. Of several that
    have the same file, such as one that was only thought dead, one delivers for all.
    """

    def __init__(
        self,
        path: Path,
        deliver: Callable[[Letter], None],
        log: logging.Logger,
        on_change: Callable[[Mapping[str, str | int]], None] = lambda said: None,
        *,
        most_waiting: int = 10_000,
        kept_days: float = 7.0,
    ) -> None:
        """Open the file, and begin to deliver what an earlier run left.

        Args:
            path: Of the file.
            deliver: Called in the thread. Raises `NotTaken` or `Refused`.
            log: For a line when the receiver goes, and one when it is back.
            on_change: Told of ``delivered``, ``waiting`` and ``receiver``, what is wrong with it; called in the thread.
            most_waiting: More letters than this, and the oldest are given up.
            kept_days: How long keys of delivered letters are kept.

        Raises:
            OutputError: If the file cannot be written.
        """
        self._path, self._deliver, self._log, self._on_change = path, deliver, log, on_change
        self._most_waiting, self._kept_days = most_waiting, kept_days
        self._delivered = 0
        self._trouble = ""
        self._wanted = threading.Event()
        self._closed = threading.Event()
        with closing(self._connect()) as letters:
            self._write(letters, _TABLE)
            self._write(letters, _INDEX)
        self._thread = threading.Thread(target=self._run, name=f"outbox {path.name}", daemon=True)
        self._thread.start()

    def put(self, key: str, body: Mapping[str, Any]) -> None:
        """Add a letter, unless there was one with this key. It is on disk when the call returns.

        Raises:
            OutputError: If the file cannot be written.
        """
        with closing(self._connect()) as letters:
            self._write(letters, _PUT, (key, json.dumps(body), time.time()))
        self._wanted.set()

    def drain(self, seconds: float) -> int:
        """Wait until all is delivered, at most for `seconds`. Returns how many letters are left for a later run."""
        end = time.monotonic() + seconds
        with closing(self._connect()) as letters:
            while (left := _waiting(letters)) and time.monotonic() < end and self._thread.is_alive():
                self._closed.wait(_LOOK_SECONDS)
        return left

    def close(self) -> None:
        """Stop delivering; the rest is delivered by a later run."""
        self._closed.set()
        self._wanted.set()
        self._thread.join(_CLOSE_SECONDS)

    def _connect(self) -> sqlite3.Connection:
        try:
            letters = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
            letters.execute("PRAGMA journal_mode = WAL")
            letters.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        return letters

    def _write(self, letters: sqlite3.Connection, sql: str, values: tuple[Any, ...] = ()) -> None:
        try:
            letters.execute(sql, values)
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _unusable(self, error: sqlite3.Error) -> OutputError:
        return OutputError(
            f"{self._path}: cannot keep letters there: {error}; free some space or choose another directory with -o; "
            "if it is no database any more, move it away"
        )

    def _run(self) -> None:
        with open(self._path.with_name(self._path.name + ".lock"), "a") as lock:
            while not self._closed.is_set():
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    self._closed.wait(_FIRST_PAUSE_SECONDS)
                else:
                    self._run_alone()

    def _run_alone(self) -> None:
        pause = GrowingPause(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS)
        while not self._closed.is_set():
            try:
                with closing(self._connect()) as letters:
                    all_done = self._deliver_all(letters, pause)
            except (OutputError, sqlite3.Error) as error:
                self._failed(str(error))
                all_done = False
            if all_done:
                pause.reset()
                self._wanted.wait(_FIRST_PAUSE_SECONDS)  # another process may have put one, and cannot wake this one
                self._wanted.clear()
            else:
                self._closed.wait(pause.failed() * random.uniform(0.8, 1.2))

    def _deliver_all(self, letters: sqlite3.Connection, pause: GrowingPause) -> bool:
        """Returns whether nothing waits any more, else the receiver does not take the next one."""
        self._forget(letters)
        while not self._closed.is_set():
            found = letters.execute(_NEXT).fetchone()
            if found is None:
                break
            refused = None
            try:
                self._deliver(Letter(found[0], json.loads(found[1]), found[2]))
            except NotTaken as error:
                self._failed(redact(error))
                self._tell(letters)
                return False
            except Refused as error:
                refused = redact(error)
                self._log.warning("given up: %s", refused)
            pause.reset()
            letters.execute(_DONE, (time.time(), refused, found[0]))
            self._delivered += refused is None
            self._recovered()
            self._tell(letters)
        return True

    def _forget(self, letters: sqlite3.Connection) -> None:
        letters.execute("DELETE FROM letters WHERE done_at < ?", (time.time() - 86400 * self._kept_days,))
        too_many = "SELECT key FROM letters WHERE done_at IS NULL ORDER BY number DESC LIMIT -1 OFFSET ?"
        cut = letters.execute(f"DELETE FROM letters WHERE key IN ({too_many})", (self._most_waiting,)).rowcount
        if cut > 0:
            self._log.warning("%d letters given up: more than %d wait", cut, self._most_waiting)

    def _failed(self, trouble: str) -> None:
        if not self._trouble:
            self._log.warning("%s; trying again until it is taken", trouble)
        self._trouble = trouble

    def _recovered(self) -> None:
        if self._trouble:
            self._log.warning("delivering again")
        self._trouble = ""

    def _tell(self, letters: sqlite3.Connection) -> None:
        said = {"delivered": self._delivered, "waiting": _waiting(letters), "receiver": self._trouble}
        with suppress(Exception):  # who is told may be away himself; a letter must not wait for that
            self._on_change(said)


def _waiting(letters: sqlite3.Connection) -> int:
    return letters.execute("SELECT COUNT(*) FROM letters WHERE done_at IS NULL").fetchone()[0]
