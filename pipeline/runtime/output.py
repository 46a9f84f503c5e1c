"""Files that appear under their final name only when they are complete."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable
from pathlib import Path

from pipeline.errors import OutputError


class OutputFile:
    """See `pipeline.stage.Output`."""

    def __init__(
        self,
        path: Path,
        on_finish: Callable[[Path], None] = lambda path: None,
        *,
        before_finish: Callable[[Path], None] = lambda path: None,
        finished_before: bool = False,
    ) -> None:
        """
        Args:
            path: Final name.
            on_finish: Called when it has been moved.
            before_finish: Called just before, so that whoever comes after a sudden death knows.
            finished_before: An earlier worker may have moved it.
        """
        self.path = path
        self.part = path.with_name(path.name + ".part")
        self._before_finish, self._on_finish = before_finish, on_finish
        self._finished_before = finished_before
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(path.parent, error) from error

    def finish(self) -> None:
        self._before_finish(self.path)
        try:
            os.replace(self.part, self.path)
        except OSError as error:
            raise unwritable(self.path, error) from error
        self._on_finish(self.path)

    def take_back(self) -> None:
        if self._finished_before and self.path.exists() and not self.part.exists():
            try:
                os.replace(self.path, self.part)
            except OSError as error:
                raise unwritable(self.part, error) from error

    def discard(self) -> None:
        self.part.unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> OutputError:
    """Make the error for a path that cannot be written, with the system's reason."""
    return OutputError(
        f"cannot write {path}: {error.strerror or error}; free some space or choose another directory with -o"
    )


def remove_parts(path: Path) -> None:
    """Remove what an unfinished output left behind: ``NAME*.part``, or every ``*.part`` in a folder."""
    for part in path.glob("*.part") if path.is_dir() else path.parent.glob(f"{glob.escape(path.name)}*.part"):
        part.unlink(missing_ok=True)
