"""A file that appears under its name only when it is complete."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Give a path to write to. Its file replaces `path` at the end of the block, or is removed where the block raises.

    Args:
        path: the file.
        durable: bring the content to the disk before it takes the name, so that a power cut leaves the old file or the
            new one. Takes milliseconds.
    """
    part = path.with_name(f"{path.stem}.part{path.suffix}")
    try:
        yield part
        if durable:
            with part.open("rb") as file:
                os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
