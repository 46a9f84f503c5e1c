"""What the status of a run says of a source that makes no progress, by the look of its streams and processes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.codec import Encoded
from pipeline.config.plan import Plan
from pipeline.runtime import watchdog
from pipeline.runtime.watchdog import STILL_SECONDS, Watchdog
from pipeline.transport.base import Commit, Position, Publication
from pipeline.transport.redis_server import PrivateServer
from pipeline.transport.redis_streams import RedisStreams
from tests.pipeline.running import make_test_plan

STAGES = {"relay": {"use": "Relay", "reads": "decoder"}, "ledger": {"use": "Ledger", "reads": "relay"}}


@pytest.fixture
def transport(server: PrivateServer) -> Iterator[RedisStreams]:
    made = RedisStreams(server.url, "watched")
    yield made
    made.reset()
    made.close()


@pytest.fixture
def plan(tmp_path: Path, transport: RedisStreams) -> Plan:
    plan = make_test_plan(tmp_path, STAGES)
    for name, stage in plan.stages.items():
        transport.declare("a", name, stage.readers)
        assert transport.acquire("a", name, f"{name}s-worker", 3600) is not None
    return plan


class Watch:
    """A watchdog with a clock that a test moves, and the status that it looks at."""

    def __init__(self, plan: Plan, transport: RedisStreams, monkeypatch: pytest.MonkeyPatch) -> None:
        self.plan = plan
        self.pids = {name: [os.getpid()] for name in plan.stages}
        self.frames = 0
        self.state, self.trouble = "running", ""
        self._now = 100.0
        self._watchdog = Watchdog(transport)
        monkeypatch.setattr(watchdog.time, "monotonic", lambda: self._now)

    def after(self, seconds: float) -> str:
        """What it says so much later."""
        self._now += seconds
        stages: dict[str, Any] = {name: {"frames": self.frames, "status": {}} for name in self.plan.stages}
        stages["decoder"]["status"] = {"trouble": self.trouble} if self.trouble else {}
        sources = {"a": {"state": self.state, "stages": stages}}
        self._watchdog.look(self.plan, sources, self.pids)
        return sources["a"]["waits"]  # type: ignore[return-value]


@pytest.fixture
def watch(plan: Plan, transport: RedisStreams, monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(plan, transport, monkeypatch)


def publish(transport: RedisStreams, stage: str, readers: int, sequence: int) -> None:
    token = transport.client.get(transport.keys.lease("a", stage)).decode()
    publication = Publication(Position(1, sequence), Encoded({"body": b""}, ()), readers, keep=0, lossless=True)
    transport.commit(Commit("a", stage, token, publication))


def test_it_says_nothing_before_its_time_nor_while_anything_moves_nor_after_the_end(watch: Watch) -> None:
    assert watch.after(0) == watch.after(STILL_SECONDS) == ""
    assert watch.after(0.1).startswith("no progress for 10 s: ")
    watch.frames += 1
    assert watch.after(STILL_SECONDS) == ""
    assert watch.after(STILL_SECONDS) == ""
    assert watch.after(25).startswith("no progress for 35 s: ")
    watch.state = "finished"
    assert watch.after(1) == ""


def test_a_decoder_without_work_for_its_readers_waits_for_the_input_and_says_what_troubles_it(watch: Watch) -> None:
    watch.after(0)
    assert watch.after(11) == "no progress for 11 s: decoder waits for the input"
    watch.trouble = "connection refused"
    assert watch.after(1) == "no progress for 12 s: decoder waits for the input (connection refused)"


def test_what_waits_for_a_reader_is_the_readers_fault(watch: Watch, transport: RedisStreams) -> None:
    for sequence in (1, 2, 3):
        publish(transport, "decoder", 1, sequence)
    transport.read("relay", [("a", "decoder")], 1, 0.01)
    watch.after(0)
    assert watch.after(11) == "no progress for 11 s: relay has 1 messages in hand and 2 to read, and finishes none"
    publish(transport, "relay", 1, 1)  # and now it waits for the ledger, which waits for nobody
    assert watch.after(1).endswith(": ledger has 0 messages in hand and 1 to read, and finishes none")
    transport.read("ledger", [("a", "relay")], 1, 0.01)
    assert "ledger has 1 messages in hand and 0 to read" in watch.after(1)


def test_a_source_that_nobody_owns_is_told_by_whether_its_worker_lives(watch: Watch, transport: RedisStreams) -> None:
    transport.release_worker("relays-worker", ["a"], "relay")
    watch.after(0)
    words = "relay has no worker that owns the source: "
    assert f"{words}it is starting, or waits for the lease of another" in watch.after(11)
    watch.pids["relay"] = []
    assert f"{words}it is started again" in watch.after(1)
    del watch.pids["relay"]
    assert f"{words}it is started again" in watch.after(1)


def test_a_process_that_a_signal_stopped_is_named(watch: Watch) -> None:
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        sleeper.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, sleeper.pid, os.WSTOPPED | os.WNOWAIT)
        watch.pids["ledger"] = [os.getpid(), sleeper.pid, 2**22]  # the last one is no process
        watch.after(0)
        reasons = watch.after(11)
    finally:
        sleeper.kill()
        sleeper.wait()
    assert f"the worker of ledger (process {sleeper.pid}) is stopped by a signal" in reasons
    assert reasons.count("process") == 1


def test_a_stage_that_stands_is_named_and_those_after_it_are_not(watch: Watch, transport: RedisStreams) -> None:
    publish(transport, "decoder", 1, 1)
    transport.read("relay", [("a", "decoder")], 1, 0.01)
    publish(transport, "relay", 1, 1)
    transport.read("ledger", [("a", "relay")], 1, 0.01)
    ledger = transport.client.get(transport.keys.lease("a", "ledger")).decode()
    ids = [entry.id for entry in transport.pending("ledger", "a", "relay")]
    transport.commit(Commit("a", "ledger", ledger, upstream="relay", acknowledge=ids))
    watch.after(0)
    assert watch.after(11) == (
        "no progress for 11 s: decoder waits for the input; relay has 1 messages in hand and 0 to read, and finishes "
        "none"
    )


def test_stages_that_are_done_with_a_source_have_no_part_in_it(watch: Watch, transport: RedisStreams) -> None:
    token = transport.client.get(transport.keys.lease("a", "decoder")).decode()
    publish(transport, "decoder", 1, 1)
    transport.commit(Commit("a", "decoder", token, processed=Position(1, 1), ended=True))
    transport.release_worker("decoders-worker", ["a"], "decoder")
    transport.read("relay", [("a", "decoder")], 1, 0.01)
    watch.after(0)
    assert watch.after(11) == "no progress for 11 s: relay has 1 messages in hand and 0 to read, and finishes none"
