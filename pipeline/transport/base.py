"""The contract of a transport. One test suite (``tests/contracts``) runs over every implementation.

A stream belongs to a (source, stage) and is written by that stage alone. Each reading stage is a consumer group on it.
All changes by a worker go through `Transport.commit`, which is atomic, fenced by the worker's lease, and idempotent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.codec import Encoded


class Position(NamedTuple):
    """Position of a message in a source's stream; compares as (epoch, sequence)."""

    epoch: int
    sequence: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.sequence}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """Read ``EPOCH-SEQUENCE``."""
        epoch, _, sequence = text.partition("-")
        return cls(int(epoch), int(sequence))


START = Position(0, 0)
"""Before every message, since sequences begin at 1."""


@dataclass(frozen=True)
class Entry:
    """One stream entry, as delivered to a group."""

    id: str
    fields: Mapping[bytes, bytes]
    """Empty if the entry was trimmed before it was read."""

    @property
    def number(self) -> int:
        """Its place in its stream, counted from 1; 0: a foreign producer wrote it."""
        number = self.fields.get(b"n", b"0")
        return int(number) if number.isdigit() else 0


@dataclass(frozen=True)
class Progress:
    """How far a stage has got with a source."""

    published: Position = START
    processed: Position = START
    ended: bool = False
    snapshot: str | None = None
    checkpoint: str | None = None
    """Where the stage's large state is, that of the same moment; see `pipeline.payload.checkpoints`."""
    read: int = 0
    """`Entry.number` of the last entry that was processed."""


@dataclass(frozen=True)
class Publication:
    """An entry for the stage's own stream."""

    position: Position
    """The entry is written only if this is beyond what the stage has published."""
    encoded: Encoded
    readers: int
    """Number of groups that must acknowledge it."""
    keep: int
    """Length to which the stream is trimmed if not `lossless`."""
    lossless: bool
    """Keep the entry and its slots until all readers have acknowledged it; False with policy ``live`` or no readers."""
    once: bool = False
    """No later one repeats it: where it is trimmed before it is read, `Transport.missed` has it."""


@dataclass(frozen=True)
class Commit:
    """One step of a worker: what it publishes, acknowledges, counts and stores."""

    source: str
    stage: str
    token: str
    """Token of the worker's lease."""
    publication: Publication | None = None
    upstream: str | None = None
    """Stage whose stream the acknowledged entries are in."""
    acknowledge: Sequence[str] = ()
    processed: Position | None = None
    """`counts` and `snapshot` are stored only if this is beyond what the stage has processed."""
    counts: Mapping[str, int] = field(default_factory=dict)
    snapshot: str | None = None
    ended: bool = False
    checkpoint: str | None = None
    """With it `snapshot` is stored even if the position has been processed, but was not passed since: what the step
    acknowledges is not delivered again, so the state that covers it must be there."""
    read: int = 0
    """`Entry.number` of what is processed; stored like `counts`."""


@dataclass(frozen=True)
class Committed:
    """Result of a commit."""

    published: bool
    """False if the entry had been published before, or there was nothing to publish."""
    length: int
    """Number of entries now in the stage's own stream."""


class Transport(ABC):
    """Streams, groups, state and slots of one pipeline.

    Every method raises `TransportError` if the server refuses or is out of memory, and `TransportLost` if the
    connection breaks; it may then be called again.
    """

    outlives_workers: bool
    """Whether it is still there when a worker dies. Otherwise nothing is worth keeping for the next one."""

    @abstractmethod
    def declare(self, source: str, stage: str, readers: Sequence[str]) -> None:
        """Create the stream and a group for each reader, beginning at its first entry. What exists stays as it is."""

    @abstractmethod
    def read(
        self, stage: str, streams: Sequence[tuple[str, str]], count: int, block_seconds: float
    ) -> list[tuple[str, Entry]]:
        """Read new entries for a group. Each is pending until acknowledged.

        Args:
            stage: The reading stage, whose name is that of the group.
            streams: (source, upstream stage) of each stream.
            count: Largest number of entries per stream.
            block_seconds: How long to wait for the first entry.

        Returns:
            (source, entry), in the order of each stream.

        Raises:
            GroupLost: If the server lost the group.
        """

    @abstractmethod
    def missed(self, source: str, stage: str, after: int, before: int) -> list[Entry]:
        """Entries with an `Entry.number` between two that were published with `once`, without pixels, oldest first."""

    @abstractmethod
    def pending(self, stage: str, source: str, upstream: str) -> list[Entry]:
        """Entries that were delivered to the group but not acknowledged, oldest first."""

    @abstractmethod
    def commit(self, commit: Commit) -> Committed:
        """Publish, acknowledge, count and store. Repeating a commit changes nothing.

        Raises:
            LeaseLost: If another worker holds the lease. Nothing is changed.
        """

    def commit_all(self, commits: Sequence[Commit]) -> Committed:
        """Make several commits of one worker, for one source and stage, in order and in as few round trips as possible.

        Returns the last result.
        """
        return [self.commit(commit) for commit in commits][-1]

    @abstractmethod
    def dead_letter(self, commit: Commit, entry: Entry, error: str, foreign: bool = False) -> None:
        """Add an entry and its error to the stage's dead letters, once, then commit its acknowledgement.

        A worker that finds the entry pending again may repeat it. Raises `LeaseLost` as `commit`.

        `foreign`: it is no message. Unless a stage of this pipeline wrote it all the same, it is removed from its
        stream, in which nobody would count it.
        """

    @abstractmethod
    def attempt(self, source: str, stage: str, entry_id: str) -> int:
        """Record that a worker died on this entry. Returns how many have."""

    @abstractmethod
    def progress(self, source: str, stage: str) -> Progress:
        """How far the stage has got with the source."""

    @abstractmethod
    def length(self, source: str, stage: str) -> int:
        """Number of entries in a stream."""

    @abstractmethod
    def written(self, source: str, stage: str) -> int:
        """`Entry.number` of the last entry that a stage wrote; 0: it wrote none."""

    @abstractmethod
    def starved(self, source: str, stage: str) -> bool:
        """Whether every group has received all entries of this stream: readers hold entries and wait for more."""

    @abstractmethod
    def adopt_ring(self, ring: str, slots: int) -> None:
        """Free every slot of a ring that no open entry refers to. For the ring's only writer, when it starts."""

    @abstractmethod
    def take_slots(self, rings: Sequence[str], most: int, timeout_seconds: float) -> list[tuple[str, int]]:
        """Take free slots of the rings: as many as `most`, and at least one unless none becomes free in time.

        Returns:
            (ring, slot) of each.
        """

    @abstractmethod
    def acquire(self, source: str, stage: str, worker: str, ttl_seconds: float) -> Lease | None:
        """Try to become the owner of (source, stage). None if another worker is."""

    @abstractmethod
    def unowned(self, stage: str, sources: Sequence[str]) -> list[str]:
        """Those of the sources of which no worker is the owner for a stage."""

    @abstractmethod
    def release_worker(self, worker: str, sources: Sequence[str], stage: str) -> None:
        """Release the leases of a worker that is known to be dead."""

    @abstractmethod
    def counters(self, source: str, stage: str) -> dict[str, int]:
        """All counters of (source, stage)."""

    @abstractmethod
    def set_status(self, source: str, stage: str, values: Mapping[str, str]) -> None:
        """Add values to what the stage reports about itself."""

    @abstractmethod
    def status(self, source: str, stage: str) -> dict[str, str]:
        """What the stage reports about itself."""

    @abstractmethod
    def dead_letters(self, stage: str) -> list[tuple[str, str]]:
        """(source, error) of every dead letter."""

    @abstractmethod
    def keep_state(self, name: str, data: bytes) -> None:
        """Store bytes under a name, in place of what it had, until `reset`. For states that no file may hold."""

    @abstractmethod
    def kept_state(self, name: str) -> bytes | None:
        """What was stored under a name; None: nothing."""

    @abstractmethod
    def drop_states(self, names: Sequence[str]) -> None:
        """Forget what is stored under these names."""

    @abstractmethod
    def has_run(self) -> bool:
        """Whether a run that has not ended uses this pipeline's data."""

    @abstractmethod
    def reset(self) -> None:
        """Delete everything of this pipeline."""

    @abstractmethod
    def close(self) -> None:
        """Close connections."""


class Lease(ABC):
    """Ownership of (source, stage) for a limited time."""

    token: str
    """Goes into every commit. Begins with the fencing number, which increases with every new owner."""

    @abstractmethod
    def renew(self) -> bool:
        """Extend it to its full time. False if it is lost."""

    @abstractmethod
    def release(self) -> None:
        """Give it back. No error if it is lost."""
