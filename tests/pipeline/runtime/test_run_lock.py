"""The lock on a pipeline's name, when its run stood still: lifetimes of milliseconds in place of 20 s."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from pipeline.config.plan import Plan
from pipeline.errors import RunTaken, TransportError, TransportLost
from pipeline.runtime.run_lock import RunLock
from pipeline.transport.redis_server import PrivateServer
from pipeline.transport.redis_streams import RedisStreams
from tests.pipeline.running import make_test_plan

TTL_SECONDS = 0.05


@pytest.fixture
def transport(server: PrivateServer) -> Iterator[RedisStreams]:
    made = RedisStreams(server.url, "locked")
    yield made
    made.reset()
    made.client.delete(made.keys.run_lock)
    made.close()


@pytest.fixture
def lock(transport: RedisStreams) -> Iterator[RunLock]:
    with RunLock(transport, TTL_SECONDS) as held:
        held.mark()
        yield held


def plan(tmp_path: Path, policy: str) -> Plan:
    return make_test_plan(tmp_path, {"ledger": {"use": "Ledger", "reads": "decoder"}}, policy=policy)


def stand_still() -> None:
    time.sleep(2 * TTL_SECONDS)


@pytest.mark.parametrize("policy", ["live", "lossless"])
def test_a_run_that_stood_still_takes_its_lock_again_and_says_so(
    lock: RunLock, transport: RedisStreams, tmp_path: Path, policy: str, caplog: pytest.LogCaptureFixture
) -> None:
    stand_still()
    with caplog.at_level(logging.WARNING):
        lock.keep(plan(tmp_path, policy))
    assert re.search(r"stood still for \d+ s \(it was stopped, or the machine slept\); it goes on", caplog.text)
    assert transport.client.exists(transport.keys.run_lock)


@pytest.mark.parametrize("policy", ["live", "lossless"])
def test_a_run_whose_name_was_taken_meanwhile_ends(
    lock: RunLock, transport: RedisStreams, tmp_path: Path, policy: str
) -> None:
    stand_still()
    with RunLock(transport) as other:
        other.mark()
        with pytest.raises(RunTaken, match=r"stood still for .* and another run of this pipeline has begun"):
            lock.keep(plan(tmp_path, policy))
        other.keep(plan(tmp_path, policy))  # it has kept its lock


def test_another_run_that_came_and_went_is_noticed(lock: RunLock, transport: RedisStreams, tmp_path: Path) -> None:
    stand_still()
    with RunLock(transport) as other:
        transport.reset()
        other.mark()
    with pytest.raises(TransportError, match=r"stood still.*data.*is gone.*or another run used this name"):
        lock.keep(plan(tmp_path, "lossless"))


def test_a_flushed_server_ends_files_and_lets_cameras_go_on(
    transport: RedisStreams, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with RunLock(transport) as lock:
        lock.mark()
        transport.client.flushdb()
        with pytest.raises(TransportError, match="lost this run's data"):
            lock.keep(plan(tmp_path, "lossless"))
        transport.client.flushdb()
        lock.keep(plan(tmp_path, "live"))
        assert transport.client.get(transport.keys.run_mark)


@pytest.mark.parametrize("begun", [False, True])
def test_a_lock_whose_reply_was_lost_is_held_by_its_run_and_by_nobody_else(
    transport: RedisStreams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    lock = RunLock(transport)
    if begun:  # and then the server forgets everything
        lock.__enter__()
        transport.client.flushdb()
    sent = transport.client.set

    def unanswered(*words: Any, **more: Any) -> None:
        monkeypatch.setattr(transport.client, "set", sent)
        sent(*words, **more)
        raise redis.ConnectionError("lost")

    monkeypatch.setattr(transport.client, "set", unanswered)
    again = (lambda: lock.keep(plan(tmp_path, "live"))) if begun else lock.__enter__
    with pytest.raises(TransportLost):
        again()
    again()
    lock.keep(plan(tmp_path, "live"))
    with pytest.raises(TransportError, match="another run of this pipeline is active"):
        RunLock(transport).__enter__()
