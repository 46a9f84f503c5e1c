"""Which motion events a host of a fleet may tell others of, in a file of its run: the host writes it, its stages read.

A host that has lost a camera to another one may not know yet. What the control Redis has taken from it was its own to
tell; what was refused there is told nowhere.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

_NAME = "event_verdicts"
_MOST = 10_000
"""Events kept, at least. Chosen by hand: as many as wait for the control Redis at most."""
_LONGEST_SECONDS = 600.0
"""Age of an event from which no verdict is awaited. One comes in some two minutes, even if the control Redis stays
away: lease, grace, and the end of the camera. Chosen by hand."""


class EventVerdicts:
    """The host's side."""

    def __init__(self, directory: Path) -> None:
        """Begin the file in a run's directory, before the run has any source."""
        self._path = directory / _NAME
        self._lines: list[str] = [f"{time.time()}\n"]
        self._rewrite()

    def add(self, key: str, told: bool) -> None:
        """The fleet has taken the event of this key, or refused it."""
        self._lines.append(f"{int(told)} {key}\n")
        if len(self._lines) > 2 * _MOST:
            self._lines[1:-_MOST] = []
            self._rewrite()
            return
        with self._path.open("a") as file:
            file.write(self._lines[-1])

    def _rewrite(self) -> None:
        new = self._path.with_name(f"{_NAME}.new")
        new.write_text("".join(self._lines))
        os.replace(new, self._path)


class MayTell:
    """A stage's side.

    Args:
        directory: Of the run; None: it has none, and belongs to no fleet.
    """

    def __init__(self, directory: Path | None) -> None:
        self._path = None if directory is None else directory / _NAME
        self._version: tuple[int, int] | None = None
        self._begun = 0.0
        self._told: dict[str, bool] = {}

    def __call__(self, key: str, seen_at: float) -> bool | None:
        """See `pipeline.stage.Context.may_tell`."""
        if self._path is None or not self._read(self._path):
            return True
        if seen_at < self._begun or abs(time.time() - seen_at) > _LONGEST_SECONDS:
            return self._told.get(key, True)
        return self._told.get(key)

    def _read(self, path: Path) -> bool:
        try:
            about = path.stat()
            if (version := (about.st_ino, about.st_size)) != self._version:
                first, *lines = path.read_text().split("\n")[:-1]
                self._begun, self._version = float(first), version
                self._told = {key: told == "1" for told, _, key in (line.partition(" ") for line in lines)}
        except FileNotFoundError:
            return False
        return True
