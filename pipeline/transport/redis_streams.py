"""Redis Streams as a transport."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import redis
from redis import exceptions

from pipeline.codec import WITHOUT_PIXELS
from pipeline.errors import TransportLost
from pipeline.redaction import redact
from pipeline.transport.base import START, Commit, Committed, Entry, Lease, Position, Progress, Publication, Transport
from pipeline.transport.keys import GROUP_CONSUMER, Keys
from pipeline.transport.letter_box import LetterBox
from pipeline.transport.redis_connection import connect, translate_redis_errors
from pipeline.transport.redis_direct import DirectCommands
from pipeline.transport.redis_lease import acquire_lease

_FIRST_DELAY_SECONDS, _LONGEST_DELAY_SECONDS = 0.05, 1.0
"""Between repetitions of a commit: short enough not to delay a live stream, then doubling to spare the server."""
_to_json = json.JSONEncoder(separators=(",", ":")).encode
_RELEASE_WORKER = """
local token = redis.call('GET', KEYS[1])
if token and string.sub(token, -#ARGV[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class RedisStreams(Transport):
    """See `Transport`. Several threads may use one object."""

    outlives_workers = True

    def __init__(self, url: str, pipeline: str, patience_seconds: float = 30.0) -> None:
        """Connect to a server.

        Args:
            url: ``redis://``, ``rediss://`` or ``unix://``.
            pipeline: Name of the pipeline.
            patience_seconds: How long `commit` is repeated while the server is unreachable.

        Raises:
            TransportError: If the server is unreachable, refuses, or is too old.
        """
        self.patience_seconds = patience_seconds
        self.where = redact(url)
        self.keys = Keys(pipeline)
        self.client: Any = connect(url)
        self._direct = DirectCommands(self.client)
        self._commit = Path(__file__).with_name("commit.lua").read_text()
        self._sha = hashlib.sha1(self._commit.encode()).hexdigest()
        self._release = self.client.register_script(_RELEASE_WORKER)
        self._letters = LetterBox(self.client, self.keys)

    @translate_redis_errors
    def declare(self, source: str, stage: str, readers: Sequence[str]) -> None:
        stream = self.keys.stream(source, stage)
        for reader in readers:
            try:
                self.client.xgroup_create(stream, reader, id="0", mkstream=True)
            except redis.ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    @translate_redis_errors
    def read(
        self, stage: str, streams: Sequence[tuple[str, str]], count: int, block_seconds: float
    ) -> list[tuple[str, Entry]]:
        by_key = {self.keys.stream(source, upstream).encode(): source for source, upstream in streams}
        block_ms = max(1, int(block_seconds * 1000))
        group = ("XREADGROUP", "GROUP", stage, GROUP_CONSUMER, "COUNT", count, "BLOCK", block_ms)
        reply = self._direct.call(*group, "STREAMS", *by_key, *(">" for _ in by_key))
        return [(by_key[key], _raw_entry(*item)) for key, items in reply or () for item in items]

    @translate_redis_errors
    def missed(self, source: str, stage: str, after: int, before: int) -> list[Entry]:
        return [e for e in map(_entry, self.client.xrange(self.keys.once(source, stage))) if after < e.number < before]

    @translate_redis_errors
    def pending(self, stage: str, source: str, upstream: str) -> list[Entry]:
        reply = self.client.xreadgroup(stage, GROUP_CONSUMER, {self.keys.stream(source, upstream): "0"})
        return [_entry(item) for _, items in reply or () for item in items]

    def commit(self, commit: Commit) -> Committed:
        return self.commit_all([commit])

    def commit_all(self, commits: Sequence[Commit]) -> Committed:
        deadline, delay_seconds, again = time.monotonic() + self.patience_seconds, _FIRST_DELAY_SECONDS, False
        while True:
            try:
                return self._commit_once(commits, again)
            except TransportLost:
                if time.monotonic() > deadline:
                    raise
            again = True
            time.sleep(delay_seconds)
            delay_seconds = min(_LONGEST_DELAY_SECONDS, delay_seconds * 2)

    @translate_redis_errors
    def _commit_once(self, commits: Sequence[Commit], again: bool) -> Committed:
        call = ("EVALSHA", self._sha, *self._call(commits, again))
        try:
            published, length = self._direct.call(*call)
        except exceptions.NoScriptError:  # a new server, or SCRIPT FLUSH
            self.client.script_load(self._commit)
            published, length = self._direct.call(*call)
        return Committed(bool(published), int(length))

    def _call(self, commits: Sequence[Commit], again: bool) -> list[Any]:
        """Arguments of ``commit.lua``: number of keys, keys, arguments."""
        keys, one = self.keys, commits[0]
        own = one.source, one.stage
        upstream = one.source, next((each.upstream for each in commits if each.upstream), one.stage)
        names = [keys.lease(*own), keys.stream(*own), keys.open(*own), keys.state(*own), keys.counters(*own)]
        names += [keys.stream(*upstream), keys.open(*upstream), keys.once(*own)]
        steps = _to_json({"group": one.stage, "again": again, "steps": [_step(commit) for commit in commits]})
        entries = [part for commit in commits if commit.publication for part in _flat(commit.publication)]
        return [len(names), *names, one.token, keys.held_prefix, keys.free_prefix, steps, *entries]

    @translate_redis_errors
    def dead_letter(self, commit: Commit, entry: Entry, error: str, foreign: bool = False) -> None:
        self._letters.put(commit, entry, error, foreign)
        self.commit(commit)

    @translate_redis_errors
    def attempt(self, source: str, stage: str, entry_id: str) -> int:
        return int(self.client.hincrby(self.keys.attempts(source, stage), entry_id, 1))

    @translate_redis_errors
    def progress(self, source: str, stage: str) -> Progress:
        state = _text(self.client.hgetall(self.keys.state(source, stage)))
        return Progress(
            published=Position.parse(state["published"]) if "published" in state else START,
            processed=Position.parse(state["processed"]) if "processed" in state else START,
            ended="ended" in state,
            snapshot=state.get("snapshot"),
            checkpoint=state.get("checkpoint"),
            read=int(state.get("read", 0)),
        )

    @translate_redis_errors
    def length(self, source: str, stage: str) -> int:
        return int(self._direct.call("XLEN", self.keys.stream(source, stage)))

    @translate_redis_errors
    def written(self, source: str, stage: str) -> int:
        return int(self._direct.call("HGET", self.keys.state(source, stage), "written") or 0)

    @translate_redis_errors
    def starved(self, source: str, stage: str) -> bool:
        stream = self.keys.stream(source, stage)
        with self.client.pipeline() as batch:
            batch.xinfo_stream(stream)
            batch.xinfo_groups(stream)
            about, groups = batch.execute()
        last = about["last-generated-id"]
        return all(group["last-delivered-id"] == last for group in groups)

    @translate_redis_errors
    def adopt_ring(self, ring: str, slots: int) -> None:
        held = {int(slot) for slot in self.client.hkeys(self.keys.held(ring))}
        free = [slot for slot in range(slots) if slot not in held]
        with self.client.pipeline() as batch:
            batch.delete(self.keys.free(ring))
            if free:
                batch.rpush(self.keys.free(ring), *free)
            batch.execute()

    @translate_redis_errors
    def take_slots(self, rings: Sequence[str], most: int, timeout_seconds: float) -> list[tuple[str, int]]:
        for ring in rings:
            slots = self._direct.call("LPOP", self.keys.free(ring), most)
            if slots:
                return [(ring, int(slot)) for slot in slots]
        by_key = {self.keys.free(ring).encode(): ring for ring in rings}
        reply = self.client.blpop(list(by_key), timeout=max(0.01, timeout_seconds))
        return [] if reply is None else [(by_key[reply[0]], int(reply[1]))]

    @translate_redis_errors
    def acquire(self, source: str, stage: str, worker: str, ttl_seconds: float) -> Lease | None:
        keys = self.keys.lease(source, stage), self.keys.fence(source, stage)
        return acquire_lease(self.client, *keys, worker, ttl_seconds, self.where)

    @translate_redis_errors
    def unowned(self, stage: str, sources: Sequence[str]) -> list[str]:
        leases = self.client.mget([self.keys.lease(source, stage) for source in sources]) if sources else []
        return [source for source, lease in zip(sources, leases, strict=True) if lease is None]

    @translate_redis_errors
    def release_worker(self, worker: str, sources: Sequence[str], stage: str) -> None:
        for source in sources:
            self._release(keys=[self.keys.lease(source, stage)], args=[f"@{worker}"])

    @translate_redis_errors
    def counters(self, source: str, stage: str) -> dict[str, int]:
        return {
            name: int(value) for name, value in _text(self.client.hgetall(self.keys.counters(source, stage))).items()
        }

    @translate_redis_errors
    def set_status(self, source: str, stage: str, values: Mapping[str, str]) -> None:
        if values:
            self.client.hset(self.keys.status(source, stage), mapping=dict(values))

    @translate_redis_errors
    def status(self, source: str, stage: str) -> dict[str, str]:
        return _text(self.client.hgetall(self.keys.status(source, stage)))

    @translate_redis_errors
    def dead_letters(self, stage: str) -> list[tuple[str, str]]:
        entries = self.client.xrange(self.keys.dead_letters(stage))
        return [(fields[b"source"].decode(), fields[b"error"].decode()) for _, fields in entries]

    @translate_redis_errors
    def keep_state(self, name: str, data: bytes) -> None:
        self.client.set(self.keys.kept_state(name), data)

    @translate_redis_errors
    def kept_state(self, name: str) -> bytes | None:
        return self.client.get(self.keys.kept_state(name))

    @translate_redis_errors
    def drop_states(self, names: Sequence[str]) -> None:
        if names:
            self.client.unlink(*(self.keys.kept_state(name) for name in names))

    @translate_redis_errors
    def has_run(self) -> bool:
        return bool(self.client.exists(self.keys.run_mark))

    @translate_redis_errors
    def reset(self) -> None:
        run_lock = self.keys.run_lock.encode()
        for key in self.found(self.keys.pattern):
            if key != run_lock:
                self.client.unlink(key)

    @translate_redis_errors
    def found(self, pattern: str) -> list[bytes]:
        """Keys that begin with what stands before the ``*`` at the end of a pattern."""
        return list(self.client.scan_iter(match=_escaped(pattern), count=1000))

    def close(self) -> None:
        self._direct.close()
        self.client.close()


def _entry(item: tuple[bytes, Mapping[bytes, bytes] | None]) -> Entry:
    return Entry(item[0].decode(), item[1] or {})


def _raw_entry(id: bytes, flat: list[bytes] | None) -> Entry:
    return Entry(id.decode(), dict(zip(flat[::2], flat[1::2], strict=True)) if flat else {})


def _step(commit: Commit) -> dict[str, Any]:
    """A step as ``commit.lua`` has it."""
    step: dict[str, Any] = {"acknowledge": list(commit.acknowledge)}
    if commit.publication is not None:
        step["entry"] = _published(commit.publication)
    if commit.processed is not None:
        step |= {"processed": commit.processed, "counts": dict(commit.counts)}
        step |= {"read": commit.read} if commit.read else {}
    if commit.snapshot is not None:
        step["snapshot"] = commit.snapshot
    if commit.checkpoint is not None:
        step["checkpoint"] = commit.checkpoint
    if commit.ended:
        step["ended"] = True
    return step


def _published(publication: Publication) -> dict[str, Any]:
    return {
        "position": publication.position,
        "readers": publication.readers,
        "keep": 0 if publication.lossless else publication.keep,
        "lossless": publication.lossless,
        "once": WITHOUT_PIXELS.decode() if publication.once else False,
        "slots": publication.encoded.slots,
        "parts": 2 * len(publication.encoded.fields),
    }


def _flat(publication: Publication) -> list[Any]:
    return [part for pair in publication.encoded.fields.items() for part in pair]


def _text(mapping: Any) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in cast("dict[bytes, bytes]", mapping).items()}


def _escaped(pattern: str) -> str:
    return pattern.replace("[", r"\[").replace("]", r"\]")
