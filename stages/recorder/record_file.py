"""The names of a camera's clips, and what is known of each, as a file of JSON beside it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from stages.recorder.growing_clip import SUFFIX

KEEP_SUFFIX = ".keep"
"""An empty file of a clip's name and this suffix protects it: ``front_....mp4.keep``."""


@dataclass(frozen=True)
class Record:
    """What is known of a clip."""

    source: str
    begin_ns: int
    """Wall clock of its first picture, ns since 1970."""
    begin_seconds: float
    """The first picture to show, in s from the beginning of the growing file."""
    codec: str
    width: int
    height: int
    end_ns: int | None = None
    """None while it is recorded."""
    events: tuple[str, ...] = ()
    """Uids of the motion events in it, as in the event log."""

    def write(self, path: Path) -> None:
        """Write it beside the clip `path`, whole or not at all. Raises OSError."""
        part = path.with_suffix(".json.part")
        part.write_text(json.dumps(self.to_json()))
        os.replace(part, path.with_suffix(".json"))

    def to_json(self) -> dict[str, Any]:
        """JSON values, with the wall clock as people read it."""
        begin_time = _iso(self.begin_ns)
        return {
            **asdict(self),
            "begin_time": begin_time,
            "end_time": None if self.end_ns is None else _iso(self.end_ns),
        }

    @classmethod
    def read(cls, path: Path) -> Record:
        """Of the clip `path`. Raises OSError or ValueError."""
        values = json.loads(path.with_suffix(".json").read_text())
        try:
            known = {name: values[name] for name in cls.__dataclass_fields__}
            return replace(cls(**known), events=tuple(values["events"]))
        except (TypeError, KeyError) as error:
            raise ValueError(f"{path}: not a record: {error}") from error


def clip_name(source: str, begin_ns: int) -> str:
    """Name of the clip's file: its source and its begin in local time with the offset from UTC."""
    return f"{source}_{_local(begin_ns):%Y-%m-%d_%H-%M-%S%z}.mp4"


def growing(path: Path) -> Path:
    """The file of a clip while it is recorded."""
    return path.with_name(path.stem + SUFFIX)


def clips(folder: Path) -> list[Path]:
    """The finished clips of a folder, oldest first: those that have a record, since other files are not ours."""
    found = (path for path in folder.glob("*.mp4") if not path.name.endswith(SUFFIX))
    dated = [(path.stat().st_mtime, path) for path in found if path.with_suffix(".json").exists()]
    return [path for _, path in sorted(dated)]


def _local(ns: int) -> datetime:
    return datetime.fromtimestamp(ns / 1e9).astimezone()


def _iso(ns: int) -> str:
    return _local(ns).isoformat(timespec="milliseconds")
