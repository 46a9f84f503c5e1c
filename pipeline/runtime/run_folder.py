"""Folders in a run's directory, one for each source and purpose, that several processes share."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from pipeline.payload.ring_space import DISK, usable_bytes
from pipeline.transport.keys import key_part


def run_folder(directory: Path, name: str, source: str, most_bytes: int = 0) -> Path:
    """The folder of a source in a run's directory.

    Args:
        directory: The run's.
        name: What the folder is for.
        source: Name of the source.
        most_bytes: That will be written into it; 0: do not make it. It lies in memory if they fit, else on disk.
    """
    folder = directory / name / key_part(source)
    if most_bytes and not folder.exists():
        folder.parent.mkdir(exist_ok=True)
        disk = directory / DISK
        if most_bytes > usable_bytes(directory) and disk.exists():
            there = disk / name / key_part(source)
            there.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                folder.symlink_to(there)
        folder.mkdir(exist_ok=True)
    return folder


def remove_run_folders(directory: Path, source: str) -> None:
    """Remove what `run_folder` made for a source, for every purpose."""
    for folder in directory.glob(f"*/{key_part(source)}"):
        there = folder.resolve()
        if folder.is_symlink():
            folder.unlink(missing_ok=True)
        if there.is_dir():
            shutil.rmtree(there, ignore_errors=True)
