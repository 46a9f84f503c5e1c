"""The dead letters of a pipeline on a Redis server, for other processes than its workers: read, and removed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from pipeline.transport.redis_connection import translate_redis_errors
from pipeline.transport.redis_streams import RedisStreams

_OWN = (b"source", b"entry", b"error")
_AT_ONCE = 100
"""Letters per round trip: each may hold a frame. Chosen by hand."""


@dataclass(frozen=True)
class DeadLetter:
    """An entry that a stage could not process."""

    stage: str
    id: str
    """Of the letter; unique within the stage."""
    source: str
    error: str
    fields: Mapping[bytes, bytes]
    """The entry itself; its arrays are in it as far as they could be had when it was given up."""

    @property
    def time(self) -> datetime:
        """When it was given up, by the server's clock."""
        return datetime.fromtimestamp(int(self.id.partition("-")[0]) / 1000, timezone.utc)

    @property
    def type(self) -> str:
        """What the entry says that it is."""
        return self.fields.get(b"type", b"not a message").decode(errors="replace")

    @property
    def size_bytes(self) -> int:
        """What the entry takes."""
        return sum(len(name) + len(value) for name, value in self.fields.items())


@translate_redis_errors
def dead_letters(transport: RedisStreams) -> Iterator[DeadLetter]:
    """Every dead letter of the pipeline, stage after stage, the oldest first."""
    prefix = transport.keys.dead_letters("")
    for key in sorted(transport.found(f"{prefix}*")):
        stage, after = key.decode().removeprefix(prefix), "-"
        while entries := transport.client.xrange(key, min=after, count=_AT_ONCE):
            for id, fields in entries:
                source, error = (fields.get(name, b"").decode(errors="replace") for name in (b"source", b"error"))
                rest = {name: value for name, value in fields.items() if name not in _OWN}
                yield DeadLetter(stage, id.decode(), source, error, rest)
            after = f"({entries[-1][0].decode()}"


@translate_redis_errors
def drop_dead_letters(transport: RedisStreams, letters: list[DeadLetter]) -> int:
    """Remove letters. Returns how many were still there."""
    dropped = 0
    for letter in letters:
        dropped += int(transport.client.xdel(transport.keys.dead_letters(letter.stage), letter.id))
    return dropped
