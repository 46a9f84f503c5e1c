"""Until when a host of a fleet has its cameras, in a file of its run: the host writes it, its stages read.

A lease is no one else's before it has run out by the clock of the host that has it. So a process that stood still, and
wakes up, knows without asking anybody that the camera may be another's by now.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from pipeline.runtime.ownership import lease_clock

_NAME = "held_sources"


class HeldSources:
    """The host's side."""

    def __init__(self, directory: Path) -> None:
        """Begin the file in a run's directory, before the run has any source."""
        self._path, self._until = directory / _NAME, dict[str, float]()
        self._write()

    def tell(self, until: Mapping[str, float]) -> None:
        """Each source that the host has, and when its lease runs out by `lease_clock` unless it is renewed."""
        if until != self._until:
            self._until = dict(until)
            self._write()

    def _write(self) -> None:
        new = self._path.with_name(f"{_NAME}.new")
        new.write_text(json.dumps(self._until))
        os.replace(new, self._path)


class HoldsSource:
    """A stage's side.

    Args:
        directory: Of the run; None: it has none, and belongs to no fleet.
        source: Name of the source.
    """

    def __init__(self, directory: Path | None, source: str) -> None:
        self._path = None if directory is None else directory / _NAME
        self._source = source

    def __call__(self) -> bool | None:
        """See `pipeline.stage.Context.holds_source`."""
        if self._path is None:
            return None
        try:
            until: dict[str, float] = json.loads(self._path.read_text())
        except FileNotFoundError:
            return None
        return lease_clock() < until.get(self._source, 0.0)
