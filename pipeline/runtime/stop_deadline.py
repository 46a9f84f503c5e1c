"""SIGTERM ends a run in time, whatever it waits for."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any

from pipeline.errors import StopOverdue

_AGAIN_SECONDS = 0.6
"""Longest that each step of tidying up may wait after that: for a server that does not answer, as a rule."""


class StopDeadline:
    """Interrupts the main thread wherever it waits, once its time is up, and then again and again.

    Args:
        seconds: For finishing what was begun. Tidying up takes up to two more.
        unfinished: What has not ended, in words.
    """

    def __init__(self, seconds: float, unfinished: Callable[[], str]) -> None:
        self._seconds, self._unfinished = seconds, unfinished
        self._before: Any = None
        self.passed = False

    def begin(self) -> None:
        """The clock runs. Outside the main thread, which alone may handle signals, nothing happens."""
        if self._before is None and threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGALRM, lambda *_: self._ring())
            signal.setitimer(signal.ITIMER_REAL, self._seconds, _AGAIN_SECONDS)

    def end(self) -> None:
        """Everything is done."""
        if self._before is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._before)
            self._before = None

    def _ring(self) -> None:
        self.passed = True
        raise StopOverdue(
            f"SIGTERM: not everything was finished within {self._seconds:g} s, and unfinished outputs are removed: "
            f"{self._unfinished()}. To finish what takes longer, raise limits.stop_seconds or stop with Ctrl-C (SIGINT)"
        )
