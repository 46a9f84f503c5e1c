"""The clips of one camera that the recorder left, as it wrote of them beside them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

_GROWING = ".growing.mp4"
_UNKNOWN_SECONDS = 60.0
"""Length of a clip that still grows, or was cut off: for the progress alone."""


@dataclass(frozen=True)
class Recording:
    """One clip."""

    path: Path
    at: float
    """Begin, s since 1970."""
    seconds: float
    """Its length."""
    begin_seconds: float
    """Where in the file the begin is."""

    @property
    def name(self) -> str:
        """By which the page asks for it."""
        return self.path.name


def recordings(output: Path, source: str, begin: float | None = None, end: float | None = None) -> list[Recording]:
    """The clips of a source, the newest first.

    Args:
        output: Of the run; the clips lie in folders in it.
        source: Its name, as it stands in the clips' records.
        begin: Those that end later, s since 1970; None: all.
        end: Those that begin earlier; None: all.
    """
    found = filter(None, (_read(record, source) for record in output.glob("*/*.json")))
    within = [
        each for each in found if (begin is None or each.at + each.seconds > begin) and (end is None or each.at < end)
    ]
    return sorted(within, key=lambda each: each.at, reverse=True)


def _read(record: Path, source: str) -> Recording | None:
    done, growing = record.with_suffix(".mp4"), record.with_name(record.stem + _GROWING)
    try:
        values = json.loads(record.read_text())
        if values["source"] != source or not (done.exists() or growing.exists()):
            return None
        at, end_ns = values["begin_ns"] / 1e9, values["end_ns"]
        seconds = _UNKNOWN_SECONDS if end_ns is None else max(0.0, end_ns / 1e9 - at)
        if done.exists():
            return Recording(done, at, seconds, 0.0)
        return Recording(growing, at, seconds, float(values["begin_seconds"]))
    except (OSError, ValueError, KeyError, TypeError):  # not one of a clip, or just deleted
        return None
