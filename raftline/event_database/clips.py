"""Which clip shows an event: what the recorder wrote beside its clips, taken into the database."""

from __future__ import annotations

import json
import os
from pathlib import Path

from raftline.event_database.database import EventDatabase


class Clips:
    """Looks for clips that are new since it looked last, in the folders beside the database: one for each camera."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        """When each folder, and each file in it, had changed last, ns."""

    def link(self, database: EventDatabase) -> int:
        """Take into the database which clips are there for its events. Returns how many are new or have changed."""
        linked = 0
        for folder in _entries(database.path.parent):
            if folder.is_dir() and self._has_changed(folder):
                for file in _entries(Path(folder.path)):
                    if file.name.endswith(".json") and self._has_changed(file):
                        linked += _link(database, Path(file.path))
        return linked

    def _has_changed(self, entry: os.DirEntry[str]) -> bool:
        """A folder has when a file in it is new or was replaced."""
        try:
            changed_ns = entry.stat().st_mtime_ns
        except OSError:  # just deleted
            return False
        known, self._seen[entry.path] = self._seen.get(entry.path), changed_ns
        return known != changed_ns


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []


def _link(database: EventDatabase, record: Path) -> int:
    try:
        events = json.loads(record.read_text())["events"]
        uids = [str(uid) for uid in events]
    except (OSError, ValueError, TypeError, KeyError):
        return 0  # not one of a clip, or just deleted
    done, growing = record.with_suffix(".mp4"), record.with_name(record.stem + ".growing.mp4")
    clip = done if done.exists() else growing if growing.exists() else None
    if clip is None:
        return 0
    path = os.path.relpath(clip, database.path.parent)
    return sum(database.set_clip(uid, path) for uid in uids)
