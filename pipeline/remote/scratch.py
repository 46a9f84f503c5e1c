"""Where files of stores lie on this machine while they are worked on."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import InputError, OutputError
from pipeline.redaction import redact
from pipeline.runtime.output import unwritable

VARIABLE = "RAFTLINE_SCRATCH"
_SPARE_BYTES = 256 * 2**20
"""What stays free beside a fetched file, for outputs. Chosen by hand."""


def scratch_folder(given: str | None = None) -> Path:
    """``given``, or ``$RAFTLINE_SCRATCH``, ``$XDG_CACHE_HOME/raftline/scratch``, ``~/.cache/raftline/scratch``."""
    chosen = given or os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "raftline" / "scratch"


def folder_of(url: str, scratch: Path) -> Path:
    """The folder for what belongs to a URL; made if it is not there. Raises `OutputError`."""
    shown = re.sub(r"[^A-Za-z0-9.-]+", "-", redact(url).replace("***", ""))[:60].strip("-.")
    folder = scratch / f"{shown}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"
    make_folder(folder)
    return folder


def make_folder(folder: Path) -> None:
    """Make a folder that only its owner can look into. Raises `OutputError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise OutputError(
            f"scratch folder {folder}: cannot be made ({error.strerror}); choose another with --scratch DIR or "
            f"{VARIABLE}"
        ) from error


@contextmanager
def room_for(size: int, display: str, scratch: Path) -> Iterator[Path]:
    """A folder for one file of `size` bytes, removed afterwards; what killed programs left is removed, too.

    Raises:
        InputError: If the disk has not as much room.
    """
    fetched = scratch / "fetched"
    make_folder(fetched)
    _sweep(fetched)
    free = shutil.disk_usage(fetched).free
    if free < size + _SPARE_BYTES:
        raise InputError(
            f"{display}: the file has to be copied to this machine first, and {scratch} lacks the room: needed are "
            f"{_gigabytes(size + _SPARE_BYTES)}, free are {_gigabytes(free)}; free some, or choose another folder with "
            f"--scratch DIR or {VARIABLE}"
        )
    folder, held = _own_folder(fetched)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def _own_folder(fetched: Path) -> tuple[Path, int]:
    """A new folder, and the descriptor that holds it."""
    while True:
        try:
            folder = Path(tempfile.mkdtemp(dir=fetched))
        except OSError as error:
            raise unwritable(fetched, error) from error
        try:
            held = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:  # another program swept
            continue
        fcntl.flock(held, fcntl.LOCK_EX)
        if folder.exists():
            return folder, held
        os.close(held)


def _sweep(fetched: Path) -> None:
    """Remove the folders that no program holds."""
    for folder in fetched.iterdir():
        try:
            held = os.open(folder, os.O_RDONLY)
        except OSError:
            continue
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            pass  # in use
        finally:
            os.close(held)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB"
