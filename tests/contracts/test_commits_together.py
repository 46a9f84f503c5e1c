"""Commits that are made together leave what they would leave one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from pipeline.codec import Encoded
from pipeline.transport.base import Commit, Committed, Position, Publication, Transport

RING, SLOTS = "ring.{source}", 12
READER, NEXT = "flow", "mask"
Make = Callable[[Sequence[Commit]], Committed]


def published(ring: str, sequence: int, lossless: bool, once: bool = False) -> Publication:
    encoded = Encoded({"body": b"message %d" % sequence, "a0": b"pixels"}, ((ring, sequence % SLOTS),))
    return Publication(Position(7, sequence), encoded, 1, 3, lossless, once)


def written(transport: Transport, source: str, sequences: Sequence[int], lossless: bool, make: Make) -> None:
    """Messages of a source, each a step; some of them twice."""
    transport.declare(source, "decoder", [READER])
    lease = transport.acquire(source, "decoder", "worker", 30)
    assert lease is not None
    ring = RING.format(source=source)
    transport.adopt_ring(ring, SLOTS)
    transport.take_slots([ring], SLOTS, 0.01)
    make(
        [
            Commit(
                source,
                "decoder",
                lease.token,
                published(ring, sequence, lossless, once=not lossless and sequence % 3 == 0),
                processed=Position(7, sequence),
                counts={"frames": 1},
                snapshot=f"after {sequence}",
            )
            for sequence in sequences
        ]
    )


def processed(transport: Transport, source: str, make: Make) -> Committed:
    """What a reader makes of them: some publish, some do not, one keeps its state, one was processed before."""
    transport.declare(source, READER, [NEXT])
    lease = transport.acquire(source, READER, "worker", 30)
    assert lease is not None
    ids = [entry.id for _, entry in transport.read(READER, [(source, "decoder")], 100, 0.01)]
    plain = Commit(source, READER, lease.token, upstream="decoder")
    ring = RING.format(source=source)
    steps = [
        replace(plain, upstream=None, publication=published(ring, 1, True)),
        replace(plain, acknowledge=ids[:2], processed=Position(7, 2), counts={"frames": 2, "late": 1}, read=2),
        replace(plain, processed=Position(7, 3), snapshot="3", checkpoint="3", publication=published(ring, 3, True)),
        replace(plain, processed=Position(7, 2), snapshot="2", checkpoint="earlier", counts={"frames": 5}, read=9),
        replace(plain, acknowledge=ids[1:], processed=Position(7, 4), counts={"frames": 1}, snapshot="4", read=4),
        replace(plain, publication=published(ring, 3, True), processed=Position(7, 4), counts={"late": 7}, ended=True),
    ]  # fmt: skip
    return make(steps)


def left(transport: Transport, source: str) -> dict[str, Any]:
    """All that can be seen of a source."""
    ring = RING.format(source=source)
    return {
        "progress": [transport.progress(source, stage) for stage in ("decoder", READER)],
        "counters": [transport.counters(source, stage) for stage in ("decoder", READER)],
        "lengths": [transport.length(source, stage) for stage in ("decoder", READER)],
        "written": [transport.written(source, stage) for stage in ("decoder", READER)],
        "pending": [entry.fields for entry in transport.pending(READER, source, "decoder")],
        "results": [entry.fields for _, entry in transport.read(NEXT, [(source, READER)], 100, 0.01)],
        "missed": [entry.fields for entry in transport.missed(source, "decoder", 0, 100)],
        "free": sorted(slot for _, slot in transport.take_slots([ring], SLOTS, 0.01)),
    }


def test_commits_together_leave_what_they_leave_one_by_one(transport: Transport) -> None:
    one_by_one: Make = lambda steps: [transport.commit(step) for step in steps][-1]  # noqa: E731
    for case, (lossless, sequences) in enumerate([(True, [1, 2, 3, 3, 2, 4]), (False, [1, 2, 3, 4, 5, 6, 6, 7])]):
        seen = []
        for source, make in ((f"apart.{case}", one_by_one), (f"together.{case}", transport.commit_all)):
            written(transport, source, sequences, lossless, make)
            last = processed(transport, source, make)
            seen.append((last, left(transport, source)))
        assert seen[0] == seen[1]
        assert seen[0][1]["counters"][1]["frames"] == 3
