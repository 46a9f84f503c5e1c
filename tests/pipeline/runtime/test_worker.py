"""One worker and its sources: which of them it takes, and whose turn it is."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pipeline.config.plan import Plan
from pipeline.errors import TransportLost
from pipeline.messages import Frame, Message
from pipeline.runtime.publisher import Acknowledgement, Publisher
from pipeline.runtime.worker import Worker
from pipeline.runtime.worker_program import work
from pipeline.stage import Stage
from pipeline.testing import TestContext, make_frame
from pipeline.transport.memory import MemoryTransport
from tests.pipeline.running import make_test_plan

SOURCES = ("a", "b", "c", "d")
seen: list[str] = []


class Noter(Stage):
    """Notes whose messages come."""

    reads = (Frame,)

    def process(self, message: Frame) -> Iterable[Message]:
        seen.append(message.header.source)
        return ()


@pytest.fixture
def transport() -> MemoryTransport:
    seen.clear()
    return MemoryTransport()


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    noter = {"use": "tests.pipeline.runtime.test_worker:Noter", "reads": "decoder", "workers": 2}
    sources = {name: {"input": "counter"} for name in SOURCES}
    return make_test_plan(tmp_path, {"noter": noter}, sources=sources, payload="inline", policy="live")


@pytest.fixture
def workers(plan: Plan, transport: MemoryTransport, tmp_path: Path) -> Iterator[list[Worker]]:
    made = [Worker(plan, "noter", transport, name, tmp_path, supervised=False) for name in ("one", "two")]
    yield made
    for worker in made:
        worker._close()


class _There(Exception):
    pass


def test_a_worker_that_is_born_while_redis_is_away_waits_for_it(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def connect(url: str, name: str) -> None:
        tried.append(url)
        raise TransportLost("away") if len(tried) < 3 else _There

    monkeypatch.setattr("pipeline.transport.redis_streams.RedisStreams", connect)
    monkeypatch.setattr("pipeline.runtime.outage.RETRY_SECONDS", 0.0)
    with pytest.raises(_There):
        work(replace(plan, redis_url="redis://host"), "noter", "one", tmp_path)
    assert len(tried) == 3


def owned(worker: Worker) -> set[str]:
    worker._next_acquire = 0.0
    worker._acquire()
    return set(worker._tasks)


def test_the_workers_of_a_stage_take_equal_numbers_of_sources(workers: list[Worker]) -> None:
    one, two = workers
    assert owned(one) == owned(one) == {"a", "b"}
    assert owned(two) == {"c", "d"}


def test_a_worker_takes_more_than_its_share_where_nobody_else_does(
    workers: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = workers
    owned(one)
    owned(two)
    two._close()
    assert owned(one) == {"a", "b"}  # the other may be starting again
    monkeypatch.setattr("pipeline.runtime.worker._GRACE_SECONDS", 0.0)
    assert owned(one) == set(SOURCES)


def test_the_sources_of_a_worker_take_turns(
    plan: Plan, transport: MemoryTransport, workers: list[Worker], tmp_path: Path
) -> None:
    owned(workers[0])
    for source, count in (("a", 4), ("b", 2)):
        lease = transport.acquire(source, "decoder", "writer", 3600)
        assert lease is not None
        writer = Publisher(plan, transport, source, "decoder", lease.token, tmp_path)
        for index in range(count):
            header = TestContext(source=source).header(index, Fraction(1, 30))
            header = replace(header, epoch=1, sequence=index + 1, arrival_ns=time.time_ns())
            writer.publish(make_frame(np.zeros((8, 8), np.uint8), index, header=header), Acknowledgement())
    workers[0]._read()
    assert seen == ["a", "b", "a", "b", "a", "a"]
