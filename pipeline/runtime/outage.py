"""A time without Redis: told once when it begins and once when it is over."""

from __future__ import annotations

import logging
import time

from pipeline.errors import TransportLost

_PATIENCE_SECONDS = 30.0
"""How long Redis may be unreachable before a worker gives up, as in the supervisor."""

log = logging.getLogger("raftline.worker")


class Outage:
    """What a worker makes of a lost connection."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._since: float | None = None

    def lasts(self, error: TransportLost) -> None:
        """The connection is lost, or still is. Raises `error` once that has lasted for too long."""
        if self._since is None:
            self._since = time.monotonic()
            log.warning("stage %s: %s; trying again", self._stage, error)
        if time.monotonic() - self._since > _PATIENCE_SECONDS:
            raise error

    def over(self) -> None:
        """All is well."""
        if self._since is not None:
            log.warning("stage %s: Redis is back after %.1f s", self._stage, time.monotonic() - self._since)
            self._since = None
