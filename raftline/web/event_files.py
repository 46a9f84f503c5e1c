"""The events of the run that the page watches, and the files that belong to them."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import InputError
from raftline.event_database import NAME, Clips, DatabaseError, Event, EventDatabase
from raftline.web.watched_run import WatchedRun


class EventFiles:
    """Opens the event database of a run, and finds files by what stands in it: never by what a request says."""

    def __init__(self, run: WatchedRun) -> None:
        self._run = run
        self._clips = Clips()
        self._lock = threading.Lock()
        self._folder: Path | None = None

    @contextlib.contextmanager
    def database(self) -> Iterator[EventDatabase | None]:
        """The database; None where there is none yet. Raises `InputError` where it cannot be read."""
        output = self._run.output
        if output is None or not (output / NAME).is_file():
            yield None
            return
        try:
            with EventDatabase.opened(output / NAME) as database:
                yield database
        except DatabaseError as error:
            raise InputError(str(error)) from error

    def link_clips(self, database: EventDatabase) -> None:
        """Take in what was recorded since the last look."""
        with self._lock:
            if database.path.parent != self._folder:
                self._folder, self._clips = database.path.parent, Clips()
            self._clips.link(database)

    def file(self, database: EventDatabase, name: str | None) -> Path | None:
        """A file that the database names; None where it is not there, or not within the results."""
        if name is None:
            return None
        folder = database.path.parent.resolve()
        path = (folder / name).resolve()
        if not path.is_relative_to(folder):
            return None
        if not path.is_file() and path.name.endswith(".growing.mp4"):
            path = path.with_name(path.name.replace(".growing.mp4", ".mp4"))
        return path if path.is_file() else None

    def begins_seconds(self, clip: Path, event: Event) -> float:
        """Where in its clip an event begins."""
        record = clip.with_name(clip.name.replace(".growing.mp4", ".mp4")).with_suffix(".json")
        try:
            values = json.loads(record.read_text())
            shown = float(values.get("begin_seconds", 0.0)) if ".growing." in clip.name else 0.0
            return max(0.0, event.at - float(values["begin_ns"]) / 1e9) + shown
        except (OSError, ValueError, KeyError, TypeError):
            return 0.0
