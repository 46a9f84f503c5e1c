"""Workers whose connections to Redis break once, at any of their commands: every frame is there once all the same."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.runtime import worker as worker_module
from pipeline.runtime.worker import Worker
from pipeline.transport.redis_server import PrivateServer
from pipeline.transport.redis_streams import RedisStreams
from tests.cutting_proxy import Moment, cutting_proxy
from tests.pipeline.running import ledger, make_test_plan

FRAMES = 6
STAGES = {"relay": {"use": "Relay", "reads": "decoder"}, "ledger": {"use": "Ledger", "reads": "relay"}}
LEASE_SECONDS = 1.0
"""So long is a lease away whose reply was lost."""
MOMENTS: tuple[Moment, ...] = ("before the server", "before the reply")


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateServer]:
    server = PrivateServer.start(memory_mb=64)
    yield server
    server.stop()


def run_with_a_cut(folder: Path, server: PrivateServer, cut_at: int, moment: Moment, stage: str) -> bool:
    """Run all stages in threads, one of them over connections that are cut. Returns whether they were."""
    plan = make_test_plan(folder, STAGES, source={"frames": FRAMES})
    plan = replace(plan, redis_url=server.url)
    direct = RedisStreams(server.url, plan.name)
    direct.reset()
    direct.client.set(direct.keys.run_mark, b"a run")
    with (
        tempfile.TemporaryDirectory(prefix="cut") as short,
        cutting_proxy(Path(short) / "redis", server.url.removeprefix("unix://"), cut_at, moment) as proxy,
    ):
        workers = []
        for name in plan.stages:
            url = proxy.url if name == stage else server.url
            transport = RedisStreams(url, plan.name)
            workers.append(Worker(plan, name, transport, name, Path(short), False, LEASE_SECONDS))
        proxy.armed = True  # a worker that cannot connect at all ends, and its supervisor starts another
        threads = [threading.Thread(target=worker.run, daemon=True) for worker in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        stuck = [name for name, thread in zip(plan.stages, threads, strict=True) if thread.is_alive()]
        for worker in workers:
            worker.abandon()
        assert not stuck, f"{stuck} wait for ever after a cut of {stage} at command {cut_at}, {moment}"
        assert ledger(plan) == [*map(str, range(FRAMES)), "end"]
        direct.close()
        return proxy.cut


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries again soon, as nobody watches."""
    monkeypatch.setattr(worker_module, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(worker_module, "_ACQUIRE_EVERY_SECONDS", 0.05)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("stage", ["decoder", "relay", "ledger"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_cut_at_any_command_loses_nothing(tmp_path: Path, server: PrivateServer, stage: str, moment: Moment) -> None:
    cut_at, was_cut = 1, True
    while was_cut:
        folder = tmp_path / str(cut_at)
        folder.mkdir()
        was_cut = run_with_a_cut(folder, server, cut_at, moment, stage)
        cut_at += 1
    assert cut_at > 12  # so many commands there are at least
