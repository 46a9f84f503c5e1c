"""The files of a ring."""

from __future__ import annotations

import contextlib
from pathlib import Path


def serials(folder: Path) -> list[int]:
    """Numbers of a ring's files, oldest first."""
    with contextlib.suppress(OSError):
        names = (path.stem for path in folder.glob("*.packets"))
        return sorted(int(name) for name in names if name.isdecimal())
    return []


def ring_file(folder: Path, serial: int) -> Path:
    """A ring's file by its number."""
    return folder / f"{serial:010d}.packets"
