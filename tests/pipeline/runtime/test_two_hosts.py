"""Two hosts that share a run: one of them stands still or is killed, and no message is processed by both."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.config.plan import Plan
from pipeline.runtime import worker as worker_module
from pipeline.runtime.ownership import TTL_SECONDS, Ownership
from pipeline.runtime.worker import Worker
from pipeline.transport.base import Lease
from pipeline.transport.memory import MemoryTransport
from pipeline.transport.redis_server import PrivateServer
from pipeline.transport.redis_streams import RedisStreams
from tests.pipeline.running import make_test_plan

FRAMES = 120
LEASE_SECONDS = 1.0
FAR = """
import sys
from pathlib import Path
from pipeline.config.plan import Plan
from pipeline.runtime.worker import Worker
from pipeline.transport.redis_streams import RedisStreams
plan = Plan.from_json(Path(sys.argv[1]).read_text())
transport = RedisStreams(plan.redis_url, plan.name)
Worker(plan, "log", transport, "far", Path(sys.argv[1]).parent, False, float(sys.argv[2])).run()
"""
"""A worker of another host."""


@pytest.fixture
def plan(tmp_path: Path, server: PrivateServer, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setattr(worker_module, "_ACQUIRE_EVERY_SECONDS", 0.05)
    log = {"use": "Logger", "reads": "decoder", "options": {"seconds_per_frame": 0.005}}
    plan = make_test_plan(tmp_path, {"log": log}, source={"frames": FRAMES}, payload="inline")
    run = RedisStreams(server.url, plan.name)
    run.reset()
    run.client.set(run.keys.run_mark, b"a run")
    return replace(plan, redis_url=server.url)


def written(plan: Plan) -> list[list[str]]:
    """(index of a frame, process) of every line."""
    file = plan.output / "a.log.txt"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


@contextlib.contextmanager
def far_worker(plan: Plan, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    (folder / "plan.json").write_text(slower(plan).to_json())
    command = [sys.executable, "-c", FAR, str(folder / "plan.json"), str(LEASE_SECONDS)]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def slower(plan: Plan) -> Plan:
    """The log takes its time: this test may look late how far the far worker is."""
    log = replace(plan.stages["log"], given={"seconds_per_frame": 0.1})
    return replace(plan, stages={**plan.stages, "log": log})


@contextlib.contextmanager
def near_workers(plan: Plan, *stages: str) -> Iterator[list[threading.Thread]]:
    assert plan.redis_url is not None
    workers = [
        Worker(plan, stage, RedisStreams(plan.redis_url, plan.name), f"near-{stage}", Path(), False, LEASE_SECONDS)
        for stage in stages
    ]
    threads = [threading.Thread(target=worker.run, daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        yield threads
    finally:
        for worker in workers:
            worker.abandon()
        for thread in threads:
            thread.join(timeout=60)


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 120  # a worker loads its modules meanwhile
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.mark.parametrize("deed", [signal.SIGSTOP, signal.SIGKILL])
def test_what_a_paused_or_killed_host_had_is_taken_over_and_no_frame_is_written_twice(
    plan: Plan, tmp_path: Path, deed: signal.Signals
) -> None:
    with far_worker(plan, tmp_path) as far, near_workers(plan, "decoder"):
        wait_for(lambda: len(written(plan)) > 10, "the far worker wrote nothing")
        far.send_signal(deed)
        before = len(written(plan))
        with near_workers(plan, "log") as (near,):
            wait_for(lambda: len(written(plan)) > before + 10, "nobody took over")
            if deed == signal.SIGSTOP:
                far.send_signal(signal.SIGCONT)  # it wakes up late, in the midst of a message
            near.join(timeout=60)
            assert not near.is_alive()
    lines = written(plan)
    assert [int(index) for index, _ in lines] == list(range(FRAMES))
    assert len({process for _, process in lines}) == 2


def test_a_source_is_taken_over_within_ten_seconds() -> None:
    assert TTL_SECONDS + worker_module._ACQUIRE_EVERY_SECONDS + worker_module._GRACE_SECONDS < 10


def test_an_owner_that_stood_still_knows_that_its_lease_ran_out(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("pipeline.runtime.ownership.time.clock_gettime", lambda _: clock[0])
    ownership = Ownership(MemoryTransport(), "flow", "worker", ttl_seconds=3600)
    try:
        assert ownership.acquire("cam") is not None
        assert ownership.holds("cam")
        clock[0] += 3601
        assert not ownership.holds("cam")
    finally:
        ownership.close()


class _Slow(Lease):
    """A lease that is lost; while it learns of that, its owner acquires a new one."""

    def __init__(self, token: str, meanwhile: Callable[[], object] | None = None) -> None:
        self.token, self.renewals = token, 0
        self._meanwhile = meanwhile

    def renew(self) -> bool:
        self.renewals += 1
        if self._meanwhile is not None:
            self._meanwhile()
        return self._meanwhile is None

    def release(self) -> None:
        pass


class _Granted:
    """Grants leases from a list."""

    def __init__(self, leases: list[_Slow]) -> None:
        self.leases = leases

    def acquire(self, source: str, stage: str, worker: str, ttl_seconds: float) -> Lease | None:
        return self.leases.pop(0)


def test_a_lease_that_is_acquired_anew_is_not_lost_with_the_one_before() -> None:
    new = _Slow("2@worker")
    leases = _Granted([_Slow("1@worker", lambda: leases.leases and ownership.acquire("cam")), new])
    ownership = Ownership(leases, "flow", "worker", ttl_seconds=0.04)
    ownership.acquire("cam")
    deadline = time.monotonic() + 60
    while not new.renewals:
        assert time.monotonic() < deadline, "the new lease is not renewed"
        time.sleep(0.01)
    ownership.close()
