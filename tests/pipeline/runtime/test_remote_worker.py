"""A worker of another host: it ends with the run, and says little about a server that is away."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import TransportLost
from pipeline.runtime import run_news
from pipeline.runtime import worker as worker_module
from pipeline.runtime.run_lock import RunLock
from pipeline.runtime.worker import Worker
from pipeline.transport.redis_server import PrivateServer
from pipeline.transport.redis_streams import RedisStreams
from tests.pipeline.running import make_test_plan

STAGES = {"ledger": {"use": "Ledger", "reads": "decoder"}}


@pytest.fixture
def worker(tmp_path: Path, server: PrivateServer) -> Worker:
    plan = replace(make_test_plan(tmp_path, STAGES, payload="inline"), redis_url=server.url)
    return Worker(plan, "ledger", RedisStreams(server.url, plan.name), "far", tmp_path, supervised=False)


def test_it_ends_with_the_run_and_leaves_no_key(
    worker: Worker, server: PrivateServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(run_news, "_RUN_GONE_SECONDS", 0.3)
    run = RedisStreams(server.url, "test")
    thread = threading.Thread(target=worker.run)
    with RunLock(run) as lock:
        run.reset()
        lock.mark()
        thread.start()
        while not worker._tasks:
            time.sleep(0.02)
        run.reset()
    thread.join(timeout=60)
    assert not thread.is_alive()
    assert "the run has ended" in caplog.text
    assert run.client.keys("*") == []


def test_it_waits_for_a_run_that_has_not_begun(worker: Worker, server: PrivateServer) -> None:
    RedisStreams(server.url, "test").reset()
    thread = threading.Thread(target=worker.run)
    thread.start()
    thread.join(timeout=1.0)
    assert thread.is_alive() and not worker._tasks
    worker.stop()
    thread.join(timeout=60)


def test_an_outage_is_two_lines(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker_module, "RETRY_SECONDS", 0.01)
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(worker, "_goes_on", lambda: True)
    outage, works = iter(range(20)), worker._work

    def work() -> None:
        if next(outage, None) is not None:
            raise TransportLost("Redis cannot be reached")
        worker.stop()
        works()

    monkeypatch.setattr(worker, "_work", work)
    worker.run()
    said = [record.getMessage() for record in caplog.records if record.name == "raftline.worker"]
    assert len(said) == 2
    assert said[0].endswith("Redis cannot be reached; trying again")
    assert "Redis is back after" in said[1]
