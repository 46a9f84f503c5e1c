"""The directory that results go to."""

from __future__ import annotations

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
