"""Which clips of a camera are deleted, so that the disk never fills up."""

from __future__ import annotations

import contextlib
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from stages.recorder.record_file import KEEP_SUFFIX, Record, clips


@dataclass(frozen=True)
class Limits:
    """What a camera's clips may take. Clips that are protected count, and stay."""

    days: float | None
    """Age at which a clip is deleted; None: any."""
    still_days: float | None
    """The same for one without motion."""
    most_bytes: int | None
    """Of all clips of the camera; None: any."""
    least_free_bytes: int
    """Of the disk."""


class Retention:
    """Deletes the oldest clips of one camera's folder, beyond its limits."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder, self._limits = folder, limits
        self._moves: dict[Path, bool] = {}

    def apply(self) -> int:
        """Delete what is too much. Returns how many clips that was."""
        found = clips(self._folder)
        sizes = {path: path.stat().st_size for path in found}
        total, now, deleted = sum(sizes.values()), time.time(), 0
        for path in found:
            if self._is_protected(path):
                continue
            age_days = (now - path.stat().st_mtime) / 86400
            if self._too_old(path, age_days) or self._too_much(total):
                _delete(path)
                total, deleted = total - sizes[path], deleted + 1
        self._moves = {path: moves for path, moves in self._moves.items() if path.exists()}
        return deleted

    def has_room(self) -> bool:
        """Whether the disk has as much free as it should."""
        return shutil.disk_usage(self._folder).free >= self._limits.least_free_bytes

    def _too_old(self, path: Path, age_days: float) -> bool:
        days, still_days = self._limits.days, self._limits.still_days
        if days is not None and age_days > days:
            return True
        return still_days is not None and age_days > still_days and not self._shows_motion(path)

    def _too_much(self, total: int) -> bool:
        most = self._limits.most_bytes
        return (most is not None and total > most) or not self.has_room()

    def _is_protected(self, path: Path) -> bool:
        return path.with_name(path.name + KEEP_SUFFIX).exists()

    def _shows_motion(self, path: Path) -> bool:
        if path not in self._moves:
            try:
                self._moves[path] = bool(Record.read(path).events)
            except (OSError, ValueError):
                self._moves[path] = True
        return self._moves[path]


def _delete(path: Path) -> None:
    for each in (path, path.with_suffix(".json")):
        with contextlib.suppress(OSError):
            each.unlink()
