"""Where the outputs of a batch go, and the summaries that say what is finished: a folder here, or one of a store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Protocol

from pipeline.remote.urls import is_remote
from raftline.cli.batch_files import BatchFile

if TYPE_CHECKING:
    from pipeline.runtime.output_lock import Run

SUMMARY = "summary.json"


class Held(Protocol):
    """A lock that is held."""

    def check(self) -> None:
        """Raise `OutputInWork` if another run has taken it, since this one stood still."""
        ...


class Place(Protocol):
    """Where the outputs of a batch go."""

    shown: str
    """For messages; without password."""
    notes: Path
    """Folder with the summaries of what is there."""
    work: Path
    """Folder in which pipelines write; `notes`, or one whose files are delivered."""

    def check_writable(self) -> None:
        """Raise `OutputError` where nothing can be written, before anything is begun."""
        ...

    def refresh(self) -> None:
        """Bring `notes` up to date."""
        ...

    def refresh_note(self, file: BatchFile) -> None:
        """Bring the summary of one file up to date."""
        ...

    def has(self, output: str) -> bool:
        """Whether an output that a summary names is there."""
        ...

    def alone(self, name: str, run: Run | None = None) -> AbstractContextManager[Held]:
        """Hold the lock on what has this name below the place, or share it within a run. Raises `OutputInWork`."""
        ...

    def deliver(self, file: BatchFile, held: Held, given_up: Event, about: dict[str, str]) -> list[str]:
        """Bring what was written in `work` for a file to where it belongs, its summary last; the outputs there.

        Args:
            file: Its pipeline has ended.
            held: The lock on it.
            given_up: Once set, what fails is not tried again.
            about: What its summary says of the file, besides.

        Raises:
            OutputError: If that failed; what was written is still in `work`.
        """
        ...

    def deliver_summary(self) -> None:
        """Bring `SUMMARY` in `notes` to where it belongs. Raises `OutputError`."""
        ...


class LocalPlace:
    """A folder of this machine. See `Place`."""

    def __init__(self, output: str) -> None:
        self.notes = self.work = Path(output)
        self.shown = str(self.notes)

    def check_writable(self) -> None:
        """See `Place`."""
        from raftline.cli.run import make_output_directory

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


def open_place(output: str, scratch: Path) -> Place:
    """The place that ``-o`` names.

    Args:
        output: Path or URL.
        scratch: Folder for what goes to a store.
    """
    from raftline.cli.batch_remote_place import RemotePlace

    return RemotePlace(output, scratch) if is_remote(output) else LocalPlace(output)
