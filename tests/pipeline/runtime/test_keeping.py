"""A stage whose large state is kept now and then: what came since is held back, and processed again after a crash."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pipeline.codec import decode
from pipeline.messages import EndOfStream, Frame
from pipeline.payload.inline import InlinePayload
from pipeline.runtime import keeping
from pipeline.runtime.keeping import NOT_KEPT
from pipeline.runtime.metrics import FRAMES, STATES_LOST
from pipeline.runtime.publisher import Acknowledgement, Publisher
from pipeline.runtime.stage_task import StageTask
from pipeline.testing import TestContext, make_frame
from pipeline.transport.memory import MemoryTransport
from tests.pipeline.running import make_test_plan

FRAMES_SENT = 16
Worker = Callable[[], StageTask]


@pytest.fixture
def transport(monkeypatch: pytest.MonkeyPatch) -> MemoryTransport:
    monkeypatch.setattr(MemoryTransport, "outlives_workers", True)
    monkeypatch.setattr(keeping, "_WORK_PER_COST", 1e12)  # it is the count that decides, not the time
    return MemoryTransport()


@pytest.fixture
def policy() -> str:
    return "lossless"


@pytest.fixture
def worker(tmp_path: Path, transport: MemoryTransport, policy: str) -> Iterator[Worker]:
    """Makes one worker's task after the other; the one before is dead. At most 6 of 16 messages are held back."""
    stages = {"adder": {"use": "Adder", "reads": "decoder"}, "ledger": {"use": "Ledger", "reads": "adder"}}
    plan = make_test_plan(tmp_path, stages, payload="inline", policy=policy, limits={"entries": 16})
    upstream = transport.acquire("a", "decoder", "writer", 3600)
    assert upstream is not None
    writer = Publisher(plan, transport, "a", "decoder", upstream.token, tmp_path)
    writer._lossless = False  # whoever writes does not wait
    for index in range(FRAMES_SENT):
        header = replace(TestContext(source="a").header(index, Fraction(1, 30)), epoch=1, sequence=index + 1)
        header = replace(header, arrival_ns=time.time_ns())
        frame = make_frame(np.full((8, 8), index, np.uint8), index, header=header)
        writer.publish(EndOfStream(header) if index == FRAMES_SENT - 1 else frame, Acknowledgement())
    made: list[StageTask] = []

    def task() -> StageTask:
        transport.release_worker(f"worker{len(made)}", ["a"], "adder")
        own = transport.acquire("a", "adder", f"worker{len(made) + 1}", 3600)
        assert own is not None
        made.append(StageTask(plan, transport, "a", "adder", own.token, tmp_path))
        made[-1].resume(set())
        return made[-1]

    yield task
    made[-1].close()
    writer.close()


def process(task: StageTask, transport: MemoryTransport, count: int) -> None:
    for _, entry in transport.read("adder", [("a", "decoder")], count, 0):
        task.handle(entry)
    task.commit()


def held_back(transport: MemoryTransport) -> int:
    return len(transport.pending("adder", "a", "decoder"))


def sums(transport: MemoryTransport) -> list[int]:
    entries = [entry for _, entry in transport.read("ledger", [("a", "adder")], 100, 0)]
    messages = [decode(entry.fields, InlinePayload()) for entry in entries]
    return [int(np.asarray(each.planes[0])[0, 0]) for each in messages if isinstance(each, Frame)]


def test_killed_again_and_again_it_publishes_what_an_undisturbed_worker_would(
    worker: Worker, transport: MemoryTransport
) -> None:
    for count in (3, 1, 5, 2, 3):
        process(worker(), transport, count)
        assert held_back(transport) <= 6
    process(worker(), transport, FRAMES_SENT)
    assert sums(transport) == [sum(range(index + 1)) % 256 for index in range(FRAMES_SENT - 1)]
    assert transport.counters("a", "adder")[FRAMES] == FRAMES_SENT - 1
    assert held_back(transport) == 0
    assert transport._states == {}, "a state was kept beyond the end"


def test_what_is_not_covered_by_a_kept_state_stays_unacknowledged(worker: Worker, transport: MemoryTransport) -> None:
    task = worker()
    process(task, transport, 6)
    assert held_back(transport) == 5  # the first state is kept at once, to see how long that takes
    process(task, transport, 1)
    assert held_back(transport) == 0
    process(task, transport, 4)
    task.idle()
    assert held_back(transport) == 0  # nobody waits for what is held back while there is nothing to do
    task.idle()
    assert task.ended is False


def test_a_state_that_is_gone_is_said_to_be(worker: Worker, transport: MemoryTransport) -> None:
    process(worker(), transport, 8)
    transport._states.clear()
    task = worker()
    process(task, transport, 5)
    assert transport.counters("a", "adder")[STATES_LOST] == 1


def test_without_room_for_the_state_everything_is_acknowledged_and_the_status_says_so(
    worker: Worker, transport: MemoryTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "_INLINE_SHARE", 0.0)
    process(worker(), transport, 7)
    assert held_back(transport) == 0
    assert transport.status("a", "adder")["state"] == NOT_KEPT
    assert transport.progress("a", "adder").checkpoint == ""


@pytest.mark.parametrize("policy", ["live"])
def test_a_camera_holds_nothing_back_and_keeps_its_state_now_and_then(
    worker: Worker, transport: MemoryTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    process(worker(), transport, 3)
    assert held_back(transport) == 0
    assert transport.progress("a", "adder").checkpoint is None
    monkeypatch.setattr(keeping, "_LIVE_SECONDS", 0.0)
    process(worker(), transport, 2)
    assert transport.progress("a", "adder").checkpoint
