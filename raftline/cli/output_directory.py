"""The directory and the files that results go to, looked at before anything is computed."""

from __future__ import annotations

import secrets
from pathlib import Path

from pipeline.errors import OutputError


def make_output_directory(output: Path) -> None:
    """Raises `OutputError` before anything was started where results could not be written."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        probe = output / ".raftline.part"
        probe.touch()
        probe.unlink(missing_ok=True)  # another run may look at the same time
    except OSError as error:
        raise OutputError(
            f"output {output}: cannot be written ({error.strerror}); choose another directory with -o"
        ) from error


def check_output_file(path: Path) -> None:
    """Make its folder. Raises `OutputError` before anything was computed where the file could not be written."""
    why = "it is a directory" if path.is_dir() else None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe = path.with_name(f".{secrets.token_hex(4)}.part")
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError as error:
        why = why or error.strerror or str(error)
    if why is not None:
        raise OutputError(f"{path}: cannot be written: {why}; give another file")
