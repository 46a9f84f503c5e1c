"""A time without Redis: told once when it begins and once when it is over."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from pipeline.errors import TransportLost

PATIENCE_SECONDS = 30.0
"""How long Redis may be unreachable before a worker or a run gives up. Chosen by hand: longer than a server's restart.
"""
RETRY_SECONDS = 0.5
"""Pause before the next attempt to reach Redis. Chosen by hand."""

T = TypeVar("T")

log = logging.getLogger("raftline.worker")


class Outage:
    """What a worker, or a run, makes of a lost connection. `who` it is, in words, begins what is told."""

    def __init__(self, who: str) -> None:
        self._who = who
        self._since: float | None = None

    def lasts(self, error: TransportLost) -> None:
        """The connection is lost, or still is. Raises `error` once that has lasted for too long."""
        if self._since is None:
            self._since = time.monotonic()
            log.warning("%s: %s; trying again", self._who, error)
        if time.monotonic() - self._since > PATIENCE_SECONDS:
            raise error

    def over(self) -> None:
        """All is well."""
        if self._since is not None:
            log.warning("%s: Redis is back after %.1f s", self._who, time.monotonic() - self._since)
            self._since = None


def patiently(outage: Outage, call: Callable[[], T]) -> T:
    """Call, and again while the connection is lost, for as long as an outage may last. What is called may be repeated.

    Raises:
        TransportLost: It has lasted for too long.
    """
    while True:
        try:
            done = call()
        except TransportLost as error:
            outage.lasts(error)
            time.sleep(RETRY_SECONDS)
        else:
            outage.over()
            return done
