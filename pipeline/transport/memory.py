"""The transport of one process, without a server."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from pipeline.errors import GroupLost, LeaseLost
from pipeline.transport.base import Commit, Committed, Entry, Lease, Progress, Publication, Transport
from pipeline.transport.memory_stream import Group, Stream

T = TypeVar("T")
Key = tuple[str, str]
"""(source, stage)"""


class MemoryTransport(Transport):
    """See `Transport`. The threads of a process share one object."""

    outlives_workers = False

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition(threading.RLock())
        self._forget()

    def _forget(self) -> None:
        self._streams: dict[Key, Stream] = defaultdict(Stream)
        self._progress: dict[Key, Progress] = defaultdict(Progress)
        self._counters: dict[Key, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._status: dict[Key, dict[str, str]] = defaultdict(dict)
        self._attempts: dict[tuple[str, str, str], int] = defaultdict(int)
        self._leases: dict[Key, tuple[str, float]] = {}
        self._fences: dict[Key, int] = defaultdict(int)
        self._free: dict[str, deque[int]] = defaultdict(deque)
        self._held: dict[str, dict[int, int]] = defaultdict(dict)
        self._dead: dict[str, dict[tuple[str, str], str]] = defaultdict(dict)
        self._states: dict[str, bytes] = {}

    def declare(self, source: str, stage: str, readers: Sequence[str]) -> None:
        with self._changed:
            groups = self._streams[source, stage].groups
            for reader in readers:
                groups.setdefault(reader, Group())

    def read(
        self, stage: str, streams: Sequence[tuple[str, str]], count: int, block_seconds: float
    ) -> list[tuple[str, Entry]]:
        def take() -> list[tuple[str, Entry]]:
            return [
                (source, entry) for source, upstream in streams for entry in self._take(stage, source, upstream, count)
            ]

        return self._wait(take, block_seconds) or []

    def missed(self, source: str, stage: str, after: int, before: int) -> list[Entry]:
        with self._changed:
            once = self._streams[source, stage].once
            return [Entry(id, fields) for id, fields in once.items() if after < int(id) < before]

    def pending(self, stage: str, source: str, upstream: str) -> list[Entry]:
        with self._changed:
            stream = self._streams[source, upstream]
            return [Entry(id, stream.entries.get(id, {})) for id in stream.groups[stage].pending]

    def commit(self, commit: Commit) -> Committed:
        key = commit.source, commit.stage
        with self._changed:
            self._check_lease(key, commit.token)
            published = self._publish(key, commit.publication) if commit.publication else False
            for id in commit.acknowledge:
                self._acknowledge((commit.source, commit.upstream or commit.stage), commit.stage, id)
            progress = self._progress[key]
            if commit.processed is not None and commit.processed >= progress.processed:
                further = commit.processed > progress.processed
                if commit.snapshot is not None and (further or commit.checkpoint is not None):
                    progress = replace(progress, snapshot=commit.snapshot)
                if commit.checkpoint is not None:
                    progress = replace(progress, checkpoint=commit.checkpoint)
                progress = replace(progress, processed=commit.processed, read=max(progress.read, commit.read))
                for name, by in commit.counts.items() if further else ():
                    self._counters[key][name] += by
            self._progress[key] = replace(progress, ended=progress.ended or commit.ended)
            self._changed.notify_all()
            return Committed(published, len(self._streams[key].entries))

    def dead_letter(self, commit: Commit, entry: Entry, error: str, foreign: bool = False) -> None:
        with self._changed:
            self._check_lease((commit.source, commit.stage), commit.token)
            self._dead[commit.stage].setdefault((commit.source, entry.id), error)
            self.commit(commit)
            stream = self._streams[commit.source, commit.upstream or commit.stage]
            if foreign and entry.id not in stream.open:
                stream.entries.pop(entry.id, None)

    def attempt(self, source: str, stage: str, entry_id: str) -> int:
        with self._changed:
            self._attempts[source, stage, entry_id] += 1
            return self._attempts[source, stage, entry_id]

    def progress(self, source: str, stage: str) -> Progress:
        with self._changed:
            return self._progress[source, stage]

    def length(self, source: str, stage: str) -> int:
        with self._changed:
            return len(self._streams[source, stage].entries)

    def written(self, source: str, stage: str) -> int:
        with self._changed:
            return self._streams[source, stage].last

    def starved(self, source: str, stage: str) -> bool:
        with self._changed:
            stream = self._streams[source, stage]
            return all(group.delivered == stream.last for group in stream.groups.values())

    def adopt_ring(self, ring: str, slots: int) -> None:
        with self._changed:
            self._free[ring] = deque(slot for slot in range(slots) if slot not in self._held[ring])
            self._changed.notify_all()

    def take_slots(self, rings: Sequence[str], most: int, timeout_seconds: float) -> list[tuple[str, int]]:
        def take() -> list[tuple[str, int]]:
            free = [(ring, slot) for ring in rings for slot in self._free[ring]][:most]
            for ring, slot in free:
                self._free[ring].remove(slot)
            return free

        return self._wait(take, timeout_seconds) or []

    def acquire(self, source: str, stage: str, worker: str, ttl_seconds: float) -> Lease | None:
        key = source, stage
        with self._changed:
            if self._owner(key) is not None:
                return None
            self._fences[key] += 1
            token = f"{self._fences[key]}@{worker}"
            self._leases[key] = token, self._clock() + ttl_seconds
            return _MemoryLease(self, key, token, ttl_seconds)

    def unowned(self, stage: str, sources: Sequence[str]) -> list[str]:
        with self._changed:
            return [source for source in sources if self._owner((source, stage)) is None]

    def release_worker(self, worker: str, sources: Sequence[str], stage: str) -> None:
        with self._changed:
            for source in sources:
                owner = self._owner((source, stage))
                if owner is not None and owner.endswith(f"@{worker}"):
                    del self._leases[source, stage]

    def counters(self, source: str, stage: str) -> dict[str, int]:
        with self._changed:
            return dict(self._counters[source, stage])

    def set_status(self, source: str, stage: str, values: Mapping[str, str]) -> None:
        with self._changed:
            self._status[source, stage].update(values)

    def status(self, source: str, stage: str) -> dict[str, str]:
        with self._changed:
            return dict(self._status[source, stage])

    def dead_letters(self, stage: str) -> list[tuple[str, str]]:
        with self._changed:
            return [(source, error) for (source, _), error in self._dead[stage].items()]

    def keep_state(self, name: str, data: bytes) -> None:
        with self._changed:
            self._states[name] = data

    def kept_state(self, name: str) -> bytes | None:
        with self._changed:
            return self._states.get(name)

    def drop_states(self, names: Sequence[str]) -> None:
        with self._changed:
            for name in names:
                self._states.pop(name, None)

    def has_run(self) -> bool:
        return True

    def reset(self) -> None:
        with self._changed:
            self._forget()

    def close(self) -> None:
        pass

    def _wait(self, take: Callable[[], T], timeout_seconds: float) -> T | None:
        deadline = time.monotonic() + timeout_seconds
        with self._changed:
            while True:
                taken = take()
                left = deadline - time.monotonic()
                if taken or left <= 0:
                    return taken
                self._changed.wait(left)

    def _take(self, stage: str, source: str, upstream: str, count: int) -> list[Entry]:
        stream = self._streams[source, upstream]
        if stage not in stream.groups:
            raise GroupLost(f"stage {stage!r} has no group on the stream of {upstream!r} for {source!r}")
        group = stream.groups[stage]
        fresh = [id for id in stream.entries if int(id) > group.delivered][:count]
        if fresh:
            group.delivered = int(fresh[-1])
            group.pending += fresh
        return [Entry(id, stream.entries[id]) for id in fresh]

    def _owner(self, key: Key) -> str | None:
        token, until = self._leases.get(key, ("", 0.0))
        return token if until > self._clock() else None

    def _check_lease(self, key: Key, token: str) -> None:
        if self._owner(key) != token:
            raise LeaseLost("the lease belongs to another worker")

    def _publish(self, key: Key, publication: Publication) -> bool:
        stream, progress = self._streams[key], self._progress[key]
        slots = publication.encoded.slots if publication.lossless else ()
        if publication.position <= progress.published:
            for ring, slot in slots:
                if slot not in self._held[ring]:
                    self._free[ring].append(slot)
            return False
        stream.last += 1
        id = str(stream.last)
        fields = {name.encode(): value for name, value in publication.encoded.fields.items()}
        stream.entries[id] = {**fields, b"n": id.encode()}
        if publication.once:
            stream.keep_once(id, publication.keep)
        if publication.lossless:
            for ring, slot in slots:
                self._held[ring][slot] = self._held[ring].get(slot, 0) + 1
            stream.open[id] = publication.readers, slots
        else:
            while len(stream.entries) > publication.keep:
                stream.entries.popitem(last=False)
        self._progress[key] = replace(progress, published=publication.position)
        return True

    def _acknowledge(self, key: Key, stage: str, id: str) -> None:
        stream = self._streams[key]
        group = stream.groups[stage]
        if id not in group.pending:
            return
        group.pending.remove(id)
        readers, slots = stream.open.pop(id, (0, ()))
        if readers > 1:
            stream.open[id] = readers - 1, slots
        elif readers == 1:
            del stream.entries[id]
            for ring, slot in slots:
                self._release(ring, slot)

    def _release(self, ring: str, slot: int) -> None:
        held = self._held[ring]
        held[slot] = held.get(slot, 0) - 1
        if held[slot] <= 0:
            del held[slot]
            self._free[ring].append(slot)


class _MemoryLease(Lease):
    def __init__(self, transport: MemoryTransport, key: Key, token: str, ttl_seconds: float) -> None:
        self.token = token
        self._transport = transport
        self._key = key
        self._ttl_seconds = ttl_seconds

    def renew(self) -> bool:
        transport = self._transport
        with transport._changed:
            if transport._owner(self._key) != self.token:
                return False
            transport._leases[self._key] = self.token, transport._clock() + self._ttl_seconds
            return True

    def release(self) -> None:
        with self._transport._changed:
            if self._transport._owner(self._key) == self.token:
                del self._transport._leases[self._key]
