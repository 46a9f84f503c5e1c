"""SIGTERM ends a run within ten seconds, whatever it waits for."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any

from pipeline.errors import StopOverdue

_DRAIN_SECONDS = 8.0
"""After SIGTERM, for finishing what was begun. The rest of ten seconds, after which service managers kill, is for
tidying up. Chosen by hand."""
_AGAIN_SECONDS = 0.6
"""Longest that each step of tidying up may wait after that: for a server that does not answer, as a rule."""


class StopDeadline:
    """Interrupts the main thread wherever it waits, once its time is up, and then again and again.

    Args:
        unfinished: What has not ended, in words.
    """

    def __init__(self, unfinished: Callable[[], str]) -> None:
        self._unfinished = unfinished
        self._before: Any = None
        self.passed = False

    def begin(self) -> None:
        """The clock runs. Outside the main thread, which alone may handle signals, nothing happens."""
        if self._before is None and threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGALRM, lambda *_: self._ring())
            signal.setitimer(signal.ITIMER_REAL, _DRAIN_SECONDS, _AGAIN_SECONDS)

    def end(self) -> None:
        """Everything is done."""
        if self._before is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._before)
            self._before = None

    def _ring(self) -> None:
        self.passed = True
        raise StopOverdue(
            f"SIGTERM: not everything was finished within {_DRAIN_SECONDS:.0f} s, and unfinished outputs are removed: "
            f"{self._unfinished()}. To finish what takes longer, stop with Ctrl-C (SIGINT) instead"
        )
