"""Steps that wait to be committed together: one round trip to Redis takes longer than many a stage's work."""

from __future__ import annotations

import time

from pipeline.messages import Message
from pipeline.runtime.publisher import Acknowledgement, Publisher, together
from pipeline.transport.base import Commit

_LIVE_SECONDS, _FILE_SECONDS = 0.005, 0.02
"""How long steps may take together and share a commit. Chosen by hand: of a camera well below the latency of a live
stream; of a file as long as the decoder gathers frames. A slow stage commits each step on its own."""


class StepQueue:
    """Of one stage and source, in order.

    Args:
        publisher: Commits them.
        live: What is published is sent at once.
    """

    def __init__(self, publisher: Publisher, live: bool) -> None:
        self._publisher = publisher
        self._live = live
        self._together_ns = (_LIVE_SECONDS if live else _FILE_SECONDS) * 1e9
        self._silent: list[Acknowledgement] = []
        """Steps that published nothing."""
        self._ready: list[Commit] = []
        """Steps before those, with what they publish."""
        self._since_ns = 0

    def add(self, step: Acknowledgement, busy_ns: int = 0) -> None:
        """Add a step that publishes nothing and took `busy_ns`."""
        due = self._is_due(busy_ns)
        self._silent.append(step)
        if due:
            self.commit()

    def publish(self, message: Message, step: Acknowledgement, busy_ns: int = 0, *, more: bool) -> None:
        """Publish a message: at once unless it is a file's, it was made quickly, and `more` is to follow."""
        due = self._is_due(busy_ns)
        self._close_silent()
        self._ready.append(self._publisher.prepare(message, step))
        if due or self._live or not more or len(self._ready) >= self._publisher.at_once:
            self.commit()

    def commit(self) -> None:
        """Commit everything that waits."""
        self._close_silent()
        if self._ready:
            ready, self._ready = self._ready, []
            self._publisher.send(ready)

    def _is_due(self, busy_ns: int) -> bool:
        """Whether the oldest of the steps, the next one included, has waited for long enough."""
        now = time.monotonic_ns()
        if not self._silent and not self._ready:
            self._since_ns = now - busy_ns
        return now - self._since_ns > self._together_ns

    def _close_silent(self) -> None:
        # They go before what is published next: a step committed after a later one would be ignored.
        self._ready += [self._publisher.step(each) for each in together(self._silent)]
        self._silent = []
