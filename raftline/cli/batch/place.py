"""Where the outputs of a batch go, and the summaries that say what is finished: a folder here, or one of a store."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Protocol

from raftline.cli.batch.files import BatchFile

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
