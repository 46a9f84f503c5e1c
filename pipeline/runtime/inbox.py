"""What a stage has read of one source and not processed yet; of a camera, nothing that is too old."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence

from pipeline.config.plan import Plan
from pipeline.messages import Message
from pipeline.runtime.entries import tells_once
from pipeline.transport.base import Entry

_LEAST_SHARE = 0.5
"""Part of ``limits.max_latency_ms`` from which on frames are late somewhere. Each stage along the way allows a little
more, the last one all of it, so that what the first stages have worked on is not dropped after it. Chosen by hand."""


class Inbox:
    """Entries in order.

    Args:
        longest_ns: Age from which a frame is late, unless it is the newest; None: none is ever late.
        read: `Entry.number` of the last entry that an earlier worker processed.
    """

    def __init__(self, longest_ns: int | None, read: int = 0) -> None:
        self._longest_ns = longest_ns
        self.read = read
        """`Entry.number` of the last entry that was taken."""
        self._received = read
        """The same of the last one that was put here."""
        self._looked_at = (0, 0)
        """What `lacks` saw last: `_received`, and what was written."""
        self._entries: deque[Entry] = deque()
        self._frames = 0

    def __bool__(self) -> bool:
        return bool(self._entries)

    def put(self, entries: Sequence[Entry]) -> None:
        """Add what was read."""
        self._received = max(self._received, *(entry.number for entry in entries), 0)
        self._entries += entries
        self._frames += sum(map(_is_frame, entries))

    def follows(self, entries: Sequence[Entry]) -> bool:
        """Whether new entries come right after those that were put here, as in a stream from which nothing is trimmed.

        If not, a worker that had the source before has read some: its command was on the way, or it slept.
        """
        return self.skips(entries) is None

    def skips(self, entries: Sequence[Entry]) -> tuple[int, int] | None:
        """The numbers between which some were trimmed from a camera's stream before the first of these; None: none."""
        first = next((entry.number for entry in entries if entry.number), 0)
        return (self._received, first) if first > self._received + 1 else None

    def lacks(self, written: int) -> bool:
        """Whether nothing came since this was asked last, though there was something, and it was read in between.

        Args:
            written: `Entry.number` of the last one that was written.
        """
        received, there = self._looked_at
        self._looked_at = self._received, written
        return received == self._received < there

    def take(self) -> Entry:
        """The oldest entry."""
        entry = self._entries.popleft()
        self._frames -= _is_frame(entry)
        return entry

    def unread(self, entry: Entry) -> int:
        """Take note of an entry. Returns how many before it were trimmed from a camera's stream, and never read."""
        before = self.read
        self.read = max(before, entry.number)
        return max(0, entry.number - before - 1)

    def too_late(self, entry: Entry, message: Message) -> bool:
        """Whether a message that was taken is to be dropped. Gaps and ends are not, nor is the newest frame, nor what
        tells of an event: without its end it would go on for ever.
        """
        if self._longest_ns is None or not self._frames or not _is_frame(entry) or tells_once(message):
            return False
        return time.time_ns() - message.header.arrival_ns > self._longest_ns


def longest_age_ns(plan: Plan, source: str, stage: str) -> int | None:
    """Age from which a frame of a camera is late at a stage, ns; None for files."""
    if plan.sources[source].policy != "live":
        return None
    depths: dict[str, int] = {}
    for name, each in plan.stages.items():  # each comes after the one it reads
        depths[name] = 0 if each.reads is None else depths[each.reads] + 1
    share = _LEAST_SHARE + (1 - _LEAST_SHARE) * depths[stage] / max(depths.values())
    return round(plan.limits.max_latency_ms * 1e6 * share)


def _is_frame(entry: Entry) -> bool:
    return bool(entry.fields) and entry.fields.get(b"type") not in (b"Gap", b"EndOfStream")
