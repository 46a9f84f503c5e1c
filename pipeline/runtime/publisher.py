"""How a worker writes: one (source, stage), in order, within bounds."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.codec import Encoded, encode
from pipeline.config.plan import Plan
from pipeline.errors import LeaseLost, PluginError, TransportLost
from pipeline.messages import Message
from pipeline.payload.base import Payload
from pipeline.payload.inline import InlinePayload
from pipeline.payload.shared_memory import SharedMemoryPayload
from pipeline.transport.base import START, Commit, Position, Publication, Transport
from pipeline.transport.keys import ring_name

LIVE_SLOTS = 8
"""In the live policy pixels are copied at every hop, so a slot only has to outlive the newest few messages."""
_SLOTS_AT_ONCE = 4
_UNREAD_KEPT = 64
_STARVED_SECONDS = 0.5
_INLINE_SHARE = 0.5
"""Of the private server's memory, for entries with pixels in them; the rest is for bookkeeping and buffers."""


@dataclass
class Acknowledgement:
    """What a step has finished with, besides what it publishes."""

    upstream: str | None = None
    ids: Sequence[str] = ()
    processed: Position | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    snapshot: str | None = None
    ended: bool = False


class Publisher:
    """Encodes, waits for room, commits."""

    def __init__(
        self, plan: Plan, transport: Transport, source: str, stage: str, token: str, ring_directory: Path
    ) -> None:
        self._transport = transport
        self._source = source
        self._stage = stage
        self._token = token
        self._readers = plan.stages[stage].readers
        self._lossless = plan.sources[source].policy == "lossless" and bool(self._readers)
        self._limit = plan.limits.entries
        self._entry_bytes_limit = plan.redis_memory_mb * 1e6 * _INLINE_SHARE / (len(plan.stages) * len(plan.sources))
        self._length = 0
        self._last = START
        self._gone = threading.Event()
        self.payload = self._make_payload(plan, ring_directory)

    def publish(self, message: Message, step: Acknowledgement, before: Sequence[Acknowledgement] = ()) -> None:
        """Write a message and commit `step` with it, after the steps `before`, which published nothing.

        Blocks while readers are behind (policy lossless). Raises `PluginError` for a message out of order, `LeaseLost`.
        """
        self.send([*(self.step(each) for each in before), self.prepare(message, step)])

    def prepare(self, message: Message, step: Acknowledgement) -> Commit:
        """Encode a message; its pixels are copied when this returns. Waits for free slots. See `publish` for errors."""
        return self.step(step, self._publication(message))

    def send(self, commits: Sequence[Commit]) -> None:
        """Commit what was prepared, in as few round trips as can be. Waits for room in the stream.

        `prepare` and `send` may be called from two threads.
        """
        self._wait_for_room()
        self._length = self._transport.commit_all(commits).length

    def commit(self, *steps: Acknowledgement) -> None:
        """Commit steps that publish nothing."""
        self._transport.commit_all([self.step(step) for step in steps])

    def _publication(self, message: Message) -> Publication:
        position = Position(message.header.epoch, message.header.sequence)
        if message.header.source != self._source or position <= self._last:
            raise PluginError(
                f"stage {self._stage!r} yielded a {type(message).__name__} with sequence {position.sequence} of "
                f"{message.header.source!r} after sequence {self._last.sequence} of {self._source!r}; sequences must "
                "grow strictly: give each message the header of the one it was made from, and one message per sequence"
            )
        self._last = position
        encoded = encode(message, self.payload)
        self._tighten(encoded)
        return Publication(position, encoded, len(self._readers), min(_UNREAD_KEPT, self._limit), self._lossless)

    def step(self, step: Acknowledgement, publication: Publication | None = None) -> Commit:
        """The transport's form of a step."""
        return Commit(
            self._source,
            self._stage,
            self._token,
            publication,
            step.upstream,
            step.ids,
            step.processed,
            step.counts,
            step.snapshot,
            step.ended,
        )

    def lose(self) -> None:
        """The lease is gone: whoever waits for room stops waiting, with `LeaseLost`. From any thread."""
        self._gone.set()

    def close(self) -> None:
        self.payload.close()

    def _make_payload(self, plan: Plan, ring_directory: Path) -> Payload:
        if plan.payload == "inline":
            return InlinePayload()
        return SharedMemoryPayload(
            ring_directory,
            ring_name(self._source, self._stage),
            plan.limits.slots if self._lossless else LIVE_SLOTS,
            take_slots=self._take_slots if self._lossless else None,
            on_ring=self._transport.adopt_ring if self._lossless else None,
        )

    def _tighten(self, encoded: Encoded) -> None:
        # Pixels inside Redis: the bound on entries becomes one on bytes.
        if encoded.size_bytes > 4096:
            self._limit = max(2, min(self._limit, int(self._entry_bytes_limit / encoded.size_bytes)))

    def _wait_for_room(self) -> None:
        starving_since, pause_seconds = None, 0.001
        while self._lossless and self._length >= self._limit:
            self._check()
            starving_since = self._starving(starving_since)
            if starving_since is not None and time.monotonic() - starving_since > _STARVED_SECONDS:
                # Readers hold all of it and need more before they let go.
                self._limit = self._length + max(2, self._limit // 2)
                return
            time.sleep(pause_seconds)
            pause_seconds = min(0.02, pause_seconds * 2)
            self._length = self._patiently_length()

    def _take_slots(self, rings: list[str]) -> list[tuple[str, int]]:
        starving_since = None
        while True:
            self._check()
            try:
                taken = self._transport.take_slots(rings, _SLOTS_AT_ONCE, 0.25)
            except TransportLost:
                time.sleep(0.25)  # the commit that follows decides how long to be patient
                continue
            if taken:
                return taken
            starving_since = self._starving(starving_since)
            if starving_since is not None and time.monotonic() - starving_since > _STARVED_SECONDS:
                return []

    def _starving(self, since: float | None) -> float | None:
        try:
            starved = self._transport.starved(self._source, self._stage)
        except TransportLost:
            return None
        return (since or time.monotonic()) if starved else None

    def _patiently_length(self) -> int:
        try:
            return self._transport.length(self._source, self._stage)
        except TransportLost:
            return self._length

    def _check(self) -> None:
        if self._gone.is_set():
            raise LeaseLost(f"stage {self._stage!r} lost {self._source!r} to another worker")
