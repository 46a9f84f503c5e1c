"""Write the stream of one (source, stage), in order and within bounds."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.codec import Encoded, encode
from pipeline.config.plan import Plan
from pipeline.errors import LeaseLost, PluginError, TransportLost
from pipeline.message_checks import fault
from pipeline.messages import Gap, Message
from pipeline.payload.base import Payload
from pipeline.payload.inline import InlinePayload
from pipeline.payload.ring_space import RingBudget
from pipeline.payload.shared_memory import SharedMemoryPayload
from pipeline.runtime.entries import tells_once
from pipeline.transport.base import START, Commit, Position, Publication, Transport
from pipeline.transport.keys import ring_name

_SLOTS_AT_ONCE = 8
"""Slots taken per round trip: a frame needs one, so seven trips out of eight are saved. Chosen by hand;
`python -m benchmarks.bench_pipeline --only decode` shows its effect."""
_MOST_AT_ONCE = 8
"""Messages that share a commit. Chosen by hand; `python -m benchmarks.bench_pipeline --only decode` shows its effect.
"""
_UNREAD_KEPT = 64
"""Entries kept in a stream that is not kept until acknowledged; stated in docs/wire_format.md."""
_STARVED_SECONDS = 0.5
"""How long readers must have taken everything before a stream or ring grows for them. Chosen by hand: longer than a
slow reader's pause between two reads, so that only one that waits for more makes it grow."""
_INLINE_SHARE = 0.5
"""Share of the private server's memory for entries that contain pixels. The rest is left for bookkeeping and the
buffers of connections. Chosen by hand."""
_LARGEST_PLAIN_BYTES = 4096
"""Entries without pixels stay far below this: they are under 1 kB. Chosen by hand."""
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.001, 0.02
"""Between looks at a full stream, doubling; at most half a frame's time at 25 per second. Chosen by hand."""
_TAKE_SECONDS = 0.25
"""Longest wait for a slot before the lease is checked again."""


@dataclass
class Acknowledgement:
    """What a step acknowledges, counts and stores, besides what it publishes."""

    upstream: str | None = None
    ids: Sequence[str] = ()
    processed: Position | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    snapshot: str | None = None
    ended: bool = False
    checkpoint: str | None = None
    read: int = 0


def together(steps: Sequence[Acknowledgement]) -> list[Acknowledgement]:
    """Make one step of several that publish nothing: what their commits would leave, in one. None of none."""
    if len(steps) < 2:
        return list(steps)
    counts: Counter[str] = Counter()
    for step in steps:
        counts.update(step.counts)
    return [
        Acknowledgement(
            steps[-1].upstream,
            [id for step in steps for id in step.ids],
            max((step.processed for step in steps if step.processed is not None), default=None),
            counts,
            next((step.snapshot for step in reversed(steps) if step.snapshot is not None), None),
            any(step.ended for step in steps),
            next((step.checkpoint for step in reversed(steps) if step.checkpoint is not None), None),
            max(step.read for step in steps),
        )
    ]


def inline_entries(plan: Plan, size_bytes: int) -> int:
    """Entries that a stream may hold if each carries so many bytes: the bound on entries becomes one on bytes."""
    if size_bytes <= _LARGEST_PLAIN_BYTES:
        return plan.limits.entries
    most_bytes = plan.redis_memory_mb * 1e6 * _INLINE_SHARE / (len(plan.stages) * len(plan.sources))
    return max(2, min(plan.limits.entries, int(most_bytes / size_bytes)))


class Publisher:
    """Encodes messages, waits for room, and commits."""

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
        self._plan = plan
        self._length = 0
        self._last = START
        self.published = START
        """How far the stage had published when this worker took over: what is not beyond that costs no slot again."""
        self._gone = threading.Event()
        self.on_sent: Callable[[], None] | None = None
        """Called after each commit that published: where readers have their turn in this thread, now. None if they run
        elsewhere."""
        self.payload = self._make_payload(plan, ring_directory)

    @property
    def at_once(self) -> int:
        """How many messages may be prepared before they are sent: with more, nothing would be left for readers."""
        return max(1, min(_MOST_AT_ONCE, self._limit // 4, (self.payload.slots or self._limit) // 4))

    def publish(self, message: Message, step: Acknowledgement) -> None:
        """Publish a message together with `step`. With the policy ``lossless``, blocks while readers are behind.

        Raises:
            PluginError: If the message is out of order.
            LeaseLost: If another worker owns the source.
        """
        self.send([self.prepare(message, step)])

    def prepare(self, message: Message, step: Acknowledgement) -> Commit:
        """Encode a message and copy its pixels, waiting for free slots. Raises the same errors as `publish`."""
        return self.step(step, self._publication(message))

    def send(self, commits: Sequence[Commit]) -> None:
        """Commit what was prepared, in as few round trips as possible, waiting for room in the stream.

        `prepare` and `send` may be called from different threads.
        """
        if any(commit.publication is not None for commit in commits):
            self._wait_for_room()
        self._length = self._transport.commit_all(commits).length
        if self.on_sent is not None:
            self.on_sent()
            self._length = 0  # what is left is what readers hold back: there is nobody to wait for

    def _publication(self, message: Message) -> Publication | None:
        position = Position(message.header.epoch, message.header.sequence)
        if message.header.source != self._source or position <= self._last:
            raise PluginError(
                f"stage {self._stage!r} yielded a {type(message).__name__} with sequence {position.sequence} of "
                f"{message.header.source!r} after sequence {self._last.sequence} of {self._source!r}; sequences must "
                "increase: give each message the header of the one it was made from, one message per sequence"
            )
        self._last = position
        if position <= self.published:
            return None
        encoded = self._encoded(message)
        self._tighten(encoded)
        once = not self._lossless and bool(self._readers) and (isinstance(message, Gap) or tells_once(message))
        return Publication(position, encoded, len(self._readers), min(_UNREAD_KEPT, self._limit), self._lossless, once)

    def _encoded(self, message: Message) -> Encoded:
        try:
            return encode(message, self.payload)
        except (TypeError, ValueError, RecursionError) as error:
            wrong = fault(message)
            if wrong is None:
                raise
            name = f"a {type(message).__name__} (sequence {message.header.sequence})"
            raise PluginError(f"stage {self._stage!r}: it handed over {name}, but {wrong}") from error

    def step(self, step: Acknowledgement, publication: Publication | None = None) -> Commit:
        """Make the transport's form of a step."""
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
            step.checkpoint,
            step.read,
        )

    def lose(self) -> None:
        """End every wait for room with `LeaseLost`: the lease is lost. May be called from any thread."""
        self._gone.set()

    def close(self) -> None:
        self.payload.close()

    def _make_payload(self, plan: Plan, ring_directory: Path) -> Payload:
        if plan.payload == "inline":
            return InlinePayload()
        return SharedMemoryPayload(
            ring_directory,
            ring_name(self._source, self._stage),
            RingBudget(plan.limits.slots, plan.ring_bytes, live=not self._lossless),
            take_slots=self._take_slots if self._lossless else None,
            on_ring=self._transport.adopt_ring if self._lossless else None,
            on_disk=lambda told: self._transport.set_status(self._source, self._stage, {"shared_memory": told}),
        )

    def _tighten(self, encoded: Encoded) -> None:
        if encoded.size_bytes > _LARGEST_PLAIN_BYTES:
            self._limit = min(self._limit, inline_entries(self._plan, encoded.size_bytes))

    def _wait_for_room(self) -> None:
        starving_since, pause_seconds = None, _FIRST_PAUSE_SECONDS
        while self._lossless and self._length >= self._limit:
            self._check()
            starving_since = self._starving(starving_since)
            if starving_since is not None and time.monotonic() - starving_since > _STARVED_SECONDS:
                # Readers hold all entries and need more before they acknowledge any.
                self._limit = self._length + max(2, self._limit // 2)
                return
            time.sleep(pause_seconds)
            pause_seconds = min(_LONGEST_PAUSE_SECONDS, pause_seconds * 2)
            self._length = self._patiently_length()

    def _take_slots(self, rings: list[str]) -> list[tuple[str, int]]:
        starving_since = None
        while True:
            self._check()
            try:
                taken = self._transport.take_slots(rings, _SLOTS_AT_ONCE, _TAKE_SECONDS)
            except TransportLost:
                time.sleep(_TAKE_SECONDS)  # the commit that follows decides when to give up
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
