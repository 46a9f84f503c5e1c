"""Which clip shows an event: what the recorder wrote beside its clips, taken into the database."""

from __future__ import annotations

import json
import os
from pathlib import Path

from raftline.event_database.database import EventDatabase

_DEPTH = "*/*.json"
"""The recorder has a folder for each camera, beside the database."""


class Clips:
    """Looks for clips that are new since it looked last."""

    def __init__(self) -> None:
        self._seen: dict[Path, int] = {}

    def link(self, database: EventDatabase) -> int:
        """Take into the database which clips are there for its events. Returns how many are new or have changed."""
        folder, linked = database.path.parent, 0
        for record in folder.glob(_DEPTH):
            try:
                changed_ns = record.stat().st_mtime_ns
                if self._seen.get(record) == changed_ns:
                    continue
                self._seen[record] = changed_ns
                linked += self._link(database, folder, record)
            except (OSError, ValueError, TypeError, AttributeError):
                continue  # not one of a clip, or just deleted
        return linked

    def _link(self, database: EventDatabase, folder: Path, record: Path) -> int:
        values = json.loads(record.read_text())
        done, growing = record.with_suffix(".mp4"), record.with_name(record.stem + ".growing.mp4")
        clip = done if done.exists() else growing if growing.exists() else None
        if clip is None or not isinstance(values.get("events"), list):
            return 0
        path = os.path.relpath(clip, folder)
        return sum(database.set_clip(str(uid), path) for uid in values["events"])
