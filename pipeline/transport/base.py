"""The contract of a transport. One suite of tests (``tests/contracts``) runs over every implementation.

A stream belongs to a (source, stage) and is written by that stage alone; each reading stage is a consumer group on it.
Everything a worker changes in the world goes through `Transport.commit`, which is atomic, fenced by the worker's
lease, and
may be repeated: what was done already is not done again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.codec import Encoded


class Position(NamedTuple):
    """Where a message stands: compares as (epoch, sequence)."""

    epoch: int
    sequence: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.sequence}"

    @classmethod
    def parse(cls, text: str) -> Position:
        epoch, _, sequence = text.partition("-")
        return cls(int(epoch), int(sequence))


START = Position(0, 0)
"""Before every message: sequences begin at 1."""


@dataclass(frozen=True)
class Entry:
    """One stream entry as a group got it."""

    id: str
    fields: Mapping[bytes, bytes]
    """Empty where the entry was trimmed before it was read."""


@dataclass(frozen=True)
class Progress:
    """How far a stage is with a source."""

    published: Position = START
    processed: Position = START
    ended: bool = False
    snapshot: str | None = None


@dataclass(frozen=True)
class Publication:
    """An entry to be written to the stage's own stream."""

    position: Position
    """Written only if it is beyond what the stage has published."""
    encoded: Encoded
    readers: int
    """Groups that have to acknowledge it."""
    keep: int
    """Length to which the stream is trimmed where it is not kept until acknowledged: policy live, or no readers."""
    lossless: bool
    """Keep the entry and its slots until all readers acknowledged it."""


@dataclass(frozen=True)
class Commit:
    """One step of a worker."""

    source: str
    stage: str
    token: str
    """Of the worker's lease."""
    publication: Publication | None = None
    upstream: str | None = None
    """Stage whose stream `acknowledge` is about."""
    acknowledge: Sequence[str] = ()
    processed: Position | None = None
    """`counts` are added and `snapshot` is stored only when this is beyond what was processed before."""
    counts: Mapping[str, int] = field(default_factory=dict)
    snapshot: str | None = None
    ended: bool = False


@dataclass(frozen=True)
class Committed:
    published: bool
    """False: it was there already, or there was nothing to publish."""
    length: int
    """Entries in the stage's own stream now."""


class Transport(ABC):
    """Streams, groups, state and slots of one pipeline.

    Methods raise `TransportError` where the server refuses or is out of memory, `TransportLost` where the
    connection broke; every method may be called again after that.
    """

    @abstractmethod
    def declare(self, source: str, stage: str, readers: Sequence[str]) -> None:
        """Make the stream and the readers' groups, from the stream's begin. What exists stays as it is."""

    @abstractmethod
    def read(
        self, stage: str, streams: Sequence[tuple[str, str]], count: int, block_seconds: float
    ) -> list[tuple[str, Entry]]:
        """New entries for group `stage` from streams (source, upstream stage), as (source, entry), in stream order.

        Waits up to `block_seconds` for the first. At most `count` per stream. Each is pending until acknowledged.
        Raises `GroupLost` when the server lost the group.
        """

    @abstractmethod
    def pending(self, stage: str, source: str, upstream: str) -> list[Entry]:
        """What was delivered to the group and not acknowledged, oldest first."""

    @abstractmethod
    def commit(self, commit: Commit) -> Committed:
        """Publish, acknowledge, count, store. Raises `LeaseLost` and changes nothing if the lease is not `token`'s."""

    def commit_all(self, commits: Sequence[Commit]) -> Committed:
        """Several commits in order, in as few round trips as can be; returns the last one's. Each is atomic."""
        return [self.commit(commit) for commit in commits][-1]

    @abstractmethod
    def dead_letter(self, commit: Commit, entry: Entry, error: str) -> None:
        """Keep an entry with its error aside, and commit (its acknowledgement)."""

    @abstractmethod
    def attempt(self, source: str, stage: str, entry_id: str) -> int:
        """Note that a worker died on this entry; returns how many have."""

    @abstractmethod
    def progress(self, source: str, stage: str) -> Progress:
        """How far the stage is."""

    @abstractmethod
    def length(self, source: str, stage: str) -> int:
        """Entries in a stream."""

    @abstractmethod
    def starved(self, source: str, stage: str) -> bool:
        """Whether every group has been given all there is in this stream: its readers hold entries and wait for
        more."""

    @abstractmethod
    def adopt_ring(self, ring: str, slots: int) -> None:
        """Make every slot of a ring free that no open entry refers to. Only for the ring's one writer, when it
        starts."""

    @abstractmethod
    def take_slots(self, rings: Sequence[str], most: int, timeout_seconds: float) -> list[tuple[str, int]]:
        """Free slots of the rings, no longer free: at least one unless there is none within the time, and at `most`."""

    @abstractmethod
    def acquire(self, source: str, stage: str, worker: str, ttl_seconds: float) -> Lease | None:
        """Try to become the owner of (source, stage); None where another worker is."""

    @abstractmethod
    def release_worker(self, worker: str, sources: Sequence[str], stage: str) -> None:
        """Free the leases of a worker that is known to be dead."""

    @abstractmethod
    def counters(self, source: str, stage: str) -> dict[str, int]:
        """Everything counted for (source, stage)."""

    @abstractmethod
    def set_status(self, source: str, stage: str, values: Mapping[str, str]) -> None:
        """Merge values into what the stage says about itself."""

    @abstractmethod
    def status(self, source: str, stage: str) -> dict[str, str]:
        """What the stage says about itself."""

    @abstractmethod
    def dead_letters(self, stage: str) -> list[tuple[str, str]]:
        """(source, error) of every entry kept aside."""

    @abstractmethod
    def reset(self) -> None:
        """Forget everything of this pipeline."""

    @abstractmethod
    def close(self) -> None:
        """Close connections."""


class Lease(ABC):
    """Ownership of (source, stage) for a while."""

    token: str
    """Goes into every commit. Begins with the fencing number, which grows with every ownership."""

    @abstractmethod
    def renew(self) -> bool:
        """Make it last for its full time again; False if it is lost."""

    @abstractmethod
    def release(self) -> None:
        """Give it back; no error if it is lost."""
