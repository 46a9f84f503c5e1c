"""Standard input as a file for FFmpeg: read once, from its begin to its end, and left when asked to stop."""

from __future__ import annotations

import os
import select
import stat
import sys
import threading

_POLL_SECONDS = 0.2
"""How often a stop is looked for: soon enough for a person, and no load."""


class StandardInput:
    """What is piped into this program. It has no `seek`: FFmpeg does not try to."""

    def __init__(self, stopped: threading.Event, descriptor: int = 0) -> None:
        self._stopped = stopped
        self._descriptor = descriptor
        self.taken = 0
        """Bytes read so far."""

    def read(self, size: int) -> bytes:
        """At most `size` bytes, as soon as there are some; none at the end, or once stopped."""
        while not self._stopped.is_set():
            if select.select([self._descriptor], [], [], _POLL_SECONDS)[0]:
                data = os.read(self._descriptor, size)
                self.taken += len(data)
                return data
        return b""


def nothing_is_piped() -> bool:
    """Whether standard input is a terminal, or nothing at all."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return True
    return sys.stdin is None or os.isatty(0) or (stat.S_ISCHR(mode) and os.path.samestat(os.fstat(0), _null()))


def _null() -> os.stat_result:
    return os.stat(os.devnull)
