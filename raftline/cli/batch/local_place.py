"""Outputs of a batch in a folder of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from raftline.cli.batch.files import BatchFile
from raftline.cli.batch.place import Held

if TYPE_CHECKING:
    from pipeline.runtime.output_lock import Run


class LocalPlace:
    """A folder of this machine. See `raftline.cli.batch.place.Place`."""

    def __init__(self, output: str) -> None:
        self.notes = self.work = Path(output)
        self.shown = str(self.notes)

    def check_writable(self) -> None:
        """See `Place`."""
        from raftline.cli.output_directory import make_output_directory

        make_output_directory(self.work)

    def refresh(self) -> None:
        """See `Place`."""

    def refresh_note(self, file: BatchFile) -> None:
        """See `Place`."""

    def has(self, output: str) -> bool:
        """See `Place`."""
        return os.path.exists(output)

    @contextmanager
    def alone(self, name: str, run: Run | None = None) -> Iterator[Held]:
        """See `Place`."""
        from pipeline.runtime.output_lock import OutputLock, Run, this_process

        me, path = this_process(), self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = OutputLock.take(path, run or Run(me, me))
        try:
            yield _Kept()
        finally:
            lock.release()

    def deliver(self, file: BatchFile, held: Held, given_up: Event, about: dict[str, str]) -> list[str]:
        """See `Place`."""
        from pipeline.runtime.summary import write_summary

        summary = file.summary(self.work)
        if about:
            summary["sources"][file.name].update(about)
            write_summary(self.work / file.folder / file.summary_name, summary)
        return summary["sources"][file.name]["outputs"]

    def deliver_summary(self) -> None:
        """See `Place`."""


class _Kept:
    def check(self) -> None:
        """The system releases a lock when its holder dies, and not before."""
