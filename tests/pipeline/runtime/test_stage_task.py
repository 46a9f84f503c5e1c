"""One stage at work on one source, step by step: what is counted and kept where steps wait for others."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import EntriesAstray, LeaseLost, TransportLost
from pipeline.messages import EndOfStream
from pipeline.runtime.metrics import DROPPED, ELAPSED_US, FRAMES
from pipeline.runtime.publisher import Acknowledgement, Publisher, together
from pipeline.runtime.stage_task import ATTEMPTS, StageTask
from pipeline.runtime.step_queue import StepQueue
from pipeline.testing import TestContext, make_frame
from pipeline.transport.base import START, Position
from pipeline.transport.memory import MemoryTransport
from tests.pipeline.running import make_test_plan

STEPS = 8
"""Seven frames and the end."""


@pytest.fixture
def transport() -> MemoryTransport:
    return MemoryTransport()


@pytest.fixture
def policy() -> str:
    return "lossless"


@pytest.fixture
def task(
    tmp_path: Path, transport: MemoryTransport, monkeypatch: pytest.MonkeyPatch, policy: str
) -> Iterator[StageTask]:
    """A task of `EveryThird`, whose silent steps wait however long they took, with everything upstream written."""
    for name in ("_LIVE_SECONDS", "_FILE_SECONDS"):
        monkeypatch.setattr(f"pipeline.runtime.step_queue.{name}", 3600)
    stages = {"third": {"use": "EveryThird", "reads": "decoder"}, "ledger": {"use": "Ledger", "reads": "third"}}
    plan = make_test_plan(tmp_path, stages, payload="inline", policy=policy)
    upstream, own = (transport.acquire("a", stage, "worker", 3600) for stage in ("decoder", "third"))
    assert upstream is not None and own is not None
    task = StageTask(plan, transport, "a", "third", own.token, tmp_path)
    writer = Publisher(plan, transport, "a", "decoder", upstream.token, tmp_path)
    for index in range(STEPS):
        header = TestContext(source="a").header(index, Fraction(1, 30))
        header = replace(header, epoch=1, sequence=index + 1, arrival_ns=time.time_ns())
        frame = make_frame(np.zeros((8, 8), np.uint8), index, header=header)
        writer.publish(EndOfStream(header) if index == STEPS - 1 else frame, Acknowledgement())
    yield task
    task.close()
    writer.close()


def _read(transport: MemoryTransport, count: int) -> list:
    return [entry for _, entry in transport.read("third", [("a", "decoder")], count, 0)]


def work_off(task: StageTask, entries: list) -> None:
    task.receive(entries)
    while task.waiting:
        if (taken := task.take()) is not None:
            task.work(taken)
    task.commit()


def test_what_came_in_one_batch_is_counted_to_the_last_frame(task: StageTask, transport: MemoryTransport) -> None:
    work_off(task, _read(transport, STEPS))
    assert task.ended
    counted = transport.counters("a", "third")
    assert counted[FRAMES] == STEPS - 1
    assert counted[ELAPSED_US] < 600e6, "since its first step"


def test_an_entry_that_comes_twice_is_processed_once(task: StageTask, transport: MemoryTransport) -> None:
    entries = _read(transport, 4)
    again = [replace(entry, id=f"{entry.id}1") for entry in entries]  # as a producer that repeats a write leaves it
    work_off(task, [each for pair in zip(entries, again, strict=True) for each in pair])
    assert transport.counters("a", "third")[FRAMES] == 4


def test_what_is_behind_the_last_position_is_processed_never(task: StageTask, transport: MemoryTransport) -> None:
    first, second, third = _read(transport, 3)
    work_off(task, [first, third, replace(second, id="late")])
    assert transport.counters("a", "third")[FRAMES] == 2


def test_a_worker_that_lost_its_lease_changes_nothing(task: StageTask, transport: MemoryTransport) -> None:
    entries = _read(transport, 3)
    transport.release_worker("worker", ["a"], "third")
    assert transport.acquire("a", "third", "another", 3600) is not None
    with pytest.raises(LeaseLost):
        work_off(task, entries)
    assert transport.counters("a", "third") == {}
    assert transport.progress("a", "third").processed == START


def test_the_snapshot_is_that_of_the_last_step(task: StageTask, transport: MemoryTransport) -> None:
    for seen in (2, 3, 6, 7):
        before = json.loads(transport.progress("a", "third").snapshot or '{"seen": 0}')["seen"]
        work_off(task, _read(transport, seen - before))
        progress = transport.progress("a", "third")
        assert json.loads(progress.snapshot or "") == {"seen": seen}
        assert progress.processed.sequence == seen


def test_what_waits_is_committed_with_the_next_message(task: StageTask, transport: MemoryTransport) -> None:
    for entry in _read(transport, 3):  # as a worker that is killed before it can commit what waits
        task.handle(entry)
    assert transport.counters("a", "third")[FRAMES] == 3
    assert transport.pending("third", "a", "decoder") == []


@pytest.mark.parametrize("policy", ["live"])
def test_what_a_dead_worker_had_read_is_late_like_anything_else(
    task: StageTask, transport: MemoryTransport, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    _read(transport, 5)  # by one that died on its way
    long_after_ns = time.time_ns() + 60 * 10**9
    monkeypatch.setattr("pipeline.runtime.inbox.time.time_ns", lambda: long_after_ns)
    task.resume(set())
    counted = transport.counters("a", "third")
    assert (counted[FRAMES], counted[f"{DROPPED}late"]) == (1, 4), "but the newest of them, which may be the last"
    assert transport.progress("a", "third").processed.sequence == 5
    assert transport.pending("third", "a", "decoder") == []


@pytest.mark.parametrize(("policy", "commits"), [("lossless", 1), ("live", 3)])
def test_what_a_file_leads_to_is_published_together_while_more_waits(
    task: StageTask, transport: MemoryTransport, monkeypatch: pytest.MonkeyPatch, policy: str, commits: int
) -> None:
    sent: list[int] = []
    commit_all = transport.commit_all
    monkeypatch.setattr(transport, "commit_all", lambda steps: sent.append(len(steps)) or commit_all(steps))
    work_off(task, _read(transport, STEPS))
    assert len(sent) == commits  # two frames of six that are passed on, and the end
    assert transport.length("a", "third") == 3
    assert task.ended


def test_quick_outputs_of_one_message_share_a_commit_and_a_slow_one_goes_alone(
    task: StageTask, transport: MemoryTransport
) -> None:
    queue = StepQueue(task.publisher, live=False)
    for index, (busy_seconds, there) in enumerate(((4000, 1), (0, 1), (0, 1))):
        header = TestContext(source="a").header(index, Fraction(1, 30))
        frame = make_frame(np.zeros((8, 8), np.uint8), index, header=replace(header, epoch=1, sequence=index + 1))
        queue.publish(frame, Acknowledgement(), busy_seconds * 10**9, more=True)
        assert transport.length("a", "third") == there
    queue.commit()
    assert transport.length("a", "third") == 3


def test_no_more_messages_share_a_commit_than_leave_some_to_readers(
    task: StageTask, transport: MemoryTransport
) -> None:
    queue, at_once = StepQueue(task.publisher, live=False), task.publisher.at_once
    there = []
    for index in range(at_once):
        header = TestContext(source="a").header(index, Fraction(1, 30))
        frame = make_frame(np.zeros((8, 8), np.uint8), index, header=replace(header, epoch=1, sequence=index + 1))
        queue.publish(frame, Acknowledgement(), more=True)
        there.append(transport.length("a", "third"))
    assert there == [0] * (at_once - 1) + [at_once]


def test_steps_wait_for_others_from_the_first_of_them_on(
    task: StageTask, transport: MemoryTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ns = [10**12]
    monkeypatch.setattr("pipeline.runtime.step_queue.time.monotonic_ns", lambda: now_ns[0])
    monkeypatch.setattr("pipeline.runtime.step_queue._FILE_SECONDS", 1.0)
    queue, counted = StepQueue(task.publisher, live=False), []
    for sequence in range(1, 6):
        queue.add(Acknowledgement("decoder", processed=Position(1, sequence), counts={FRAMES: 1}))
        counted.append(transport.counters("a", "third").get(FRAMES, 0))
        now_ns[0] += 6 * 10**8
    assert counted == [0, 0, 3, 3, 3]


def test_steps_made_one_leave_what_each_of_them_would() -> None:
    first = Acknowledgement("decoder", ["1", "2"], Position(1, 2), {FRAMES: 2, "late": 1}, '{"seen": 2}')
    second = Acknowledgement("decoder", ["3"], Position(1, 3), {FRAMES: 1}, None, ended=True)
    merged = Acknowledgement("decoder", ["1", "2", "3"], Position(1, 3), {FRAMES: 3, "late": 1}, '{"seen": 2}', True)
    assert together([first, second]) == [merged]
    assert together([first]) == [first]
    assert together([]) == []


def test_a_worker_that_lost_its_connection_was_not_killed_by_what_it_had_read(
    task: StageTask, transport: MemoryTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    _read(transport, 3)
    tried: set[str] = set()
    attempt = transport.attempt

    def unanswered(source: str, stage: str, entry_id: str) -> int:
        attempt(source, stage, entry_id)
        raise TransportLost("Redis cannot be reached")

    monkeypatch.setattr(transport, "attempt", unanswered)
    for _ in range(ATTEMPTS):  # its connection is lost at each of the three entries
        with pytest.raises(TransportLost):
            task.resume(tried)
    task.resume(tried)
    assert transport.dead_letters("third") == []
    assert transport.counters("a", "third")[FRAMES] == 3
    assert transport.pending("third", "a", "decoder") == []


@pytest.mark.parametrize("stolen", [1, 4, STEPS - 3])
def test_what_went_to_a_worker_that_had_the_source_before_is_found_and_taken_in_its_turn(
    task: StageTask, transport: MemoryTransport, stolen: int
) -> None:
    work_off(task, _read(transport, 3))
    task.look_for_astray()
    assert len(_read(transport, stolen)) == stolen  # by a command that was on its way while its link was down
    with pytest.raises(EntriesAstray):  # at the next read, or since nothing comes though it was written
        for _ in range(2):
            if new := _read(transport, STEPS):
                task.receive(new)
            task.look_for_astray()
    assert transport.counters("a", "third")[FRAMES] == 3
    task._inbox.put(transport.pending("third", "a", "decoder"))  # as the task that follows does
    while task.waiting:
        task.handle(task._inbox.take())
    task.commit()
    assert task.ended
    assert transport.counters("a", "third")[FRAMES] == STEPS - 1
    assert f"{DROPPED}unread" not in transport.counters("a", "third")


def test_a_reader_that_is_far_behind_lacks_nothing(task: StageTask, transport: MemoryTransport) -> None:
    while not task.ended:
        task.look_for_astray()
        work_off(task, _read(transport, 2))
    task.look_for_astray()
    task.look_for_astray()


def test_a_successor_knows_what_the_worker_before_it_finished(
    task: StageTask, transport: MemoryTransport, tmp_path: Path
) -> None:
    task.context.output("{source}.txt").part.touch()
    task.context.output("{source}.txt").finish()
    assert task.context.finished_before == ()
    work_off(task, _read(transport, 2))
    transport.release_worker("worker", ["a"], "third")
    lease = transport.acquire("a", "third", "another", 3600)
    assert lease is not None
    stages = {"third": {"use": "EveryThird", "reads": "decoder"}, "ledger": {"use": "Ledger", "reads": "third"}}
    plan = make_test_plan(tmp_path, stages, payload="inline")
    successor = StageTask(plan, transport, "a", "third", lease.token, tmp_path)
    assert successor.context.finished_before == {str(plan.output / "a.txt")}
    successor.close()
