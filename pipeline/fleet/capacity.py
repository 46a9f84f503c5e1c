"""How many cameras a host can carry, measured while it carries some."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.runtime.run_status import source_state

_WINDOW_SECONDS = 15.0
"""Of even work before it is believed. Chosen by hand: a camera's start takes some seconds of a core."""
_USED_SHARE = 0.85
"""Of the cores; the rest is for starts, bursts of motion, and what this does not see. Chosen by hand."""
_DROPPED_SHARE = 0.02
"""More frames than this dropped: the host has too many cameras. Chosen by hand."""
_PATIENCE_SECONDS = 30.0
"""It must have too many for so long before it gives one back. Chosen by hand: a burst of motion is no reason."""
_CEILING_SECONDS = 600.0
"""How long it then takes no more than were left. Chosen by hand: else it would take and give for ever."""


@dataclass(frozen=True)
class _Figures:
    at: float
    cpu_seconds: float
    frames: int
    dropped: int
    live: frozenset[str]


class MeasuredCapacity:
    """What a run's status says of the machine. `look` and `limit` may be called by different threads."""

    def __init__(self, cores: int) -> None:
        """`cores`: those that the run shares out."""
        self.cores = cores
        self.cpu_cores: float | None = None
        """In use, lately."""
        self._first: _Figures | None = None
        self._per_camera: float | None = None
        """Cores."""
        self._measured_with = 0
        self._overloaded_since: float | None = None
        self._ceiling: tuple[int, float] | None = None
        """At most so many cameras until then."""

    def look(self, status: Mapping[str, Any], now: float | None = None) -> None:
        """Take a status of the supervisor; `now`: by a clock of one's own, s."""
        figures = _figures(status, time.monotonic() if now is None else now)
        first = self._first
        if first is None or first.live != figures.live:
            self._first = figures
            return
        seconds = figures.at - first.at
        if seconds < _WINDOW_SECONDS:
            return
        self._first = figures
        self.cpu_cores = max(0.0, figures.cpu_seconds - first.cpu_seconds) / seconds
        if not figures.live:
            return
        self._per_camera, self._measured_with = self.cpu_cores / len(figures.live), len(figures.live)
        frames, dropped = figures.frames - first.frames, figures.dropped - first.dropped
        self._judge(dropped > _DROPPED_SHARE * max(1, frames), len(figures.live), figures.at)

    def limit(self, carried: int, now: float | None = None) -> tuple[int, str]:
        """How many cameras it can carry while it carries so many, and why, in words."""
        now = time.monotonic() if now is None else now
        if self._ceiling is not None and now < self._ceiling[1]:
            return self._ceiling[0], "it dropped frames with one more"
        if self._overloaded_since is not None:
            return carried, "it drops frames"
        if self._per_camera is None:
            return max(carried, self.cores), f"not measured yet: one for each of {self.cores} cores"
        fitting = int(_USED_SHARE * self.cores / max(self._per_camera, 1e-3))
        # Twice as many at the most, then it is measured again: what the next ones cost is a guess.
        limit = max(carried, 1, min(fitting, 2 * self._measured_with + 1))
        return limit, f"a camera takes {self._per_camera:.2f} of {self.cores} cores"

    def _judge(self, drops: bool, cameras: int, now: float) -> None:
        if not drops:
            self._overloaded_since = None
            return
        if self._overloaded_since is None:
            self._overloaded_since = now
        elif now - self._overloaded_since >= _PATIENCE_SECONDS:
            self._ceiling = (max(1, cameras - 1), now + _CEILING_SECONDS)
            self._overloaded_since = None


def _figures(status: Mapping[str, Any], now: float) -> _Figures:
    sources = status["sources"].values()
    live = frozenset(name for name, each in status["sources"].items() if source_state(each)[0] in ("live", "running"))
    stages = [stage for source in sources for stage in source["stages"].values()]
    return _Figures(
        at=now,
        cpu_seconds=sum(work["cpu_seconds"] or 0.0 for work in status["workers"].values()) + time.process_time(),
        frames=sum(source["frames_decoded"] for source in sources),
        dropped=sum(sum(stage["dropped"].values()) for stage in stages),
        live=live,
    )
