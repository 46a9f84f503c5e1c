"""Writing the stream of one stage: in order, within bounds, and not for ever where nobody reads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.config.plan import Plan
from pipeline.errors import LeaseLost, PluginError
from pipeline.messages import Data, Frame
from pipeline.runtime.publisher import Acknowledgement, Publisher, inline_entries
from pipeline.testing import make_frame
from pipeline.transport.base import Position
from pipeline.transport.memory import MemoryTransport
from tests.pipeline.running import make_test_plan

LIMIT = 8
MakePublisher = Callable[[str], Publisher]


def frame(sequence: int, source: str = "a") -> Frame:
    made = make_frame(np.zeros((8, 8), np.uint8), sequence)
    return replace(made, header=replace(made.header, source=source, epoch=1, sequence=sequence))


def plan(tmp_path: Path, policy: str) -> Plan:
    stages = {"ledger": {"use": "Ledger", "reads": "decoder"}}
    return make_test_plan(tmp_path, stages, policy=policy, payload="inline", limits={"entries": LIMIT})


@pytest.fixture
def transport() -> MemoryTransport:
    made = MemoryTransport()
    made.declare("a", "decoder", ("ledger",))
    return made


@pytest.fixture
def make(tmp_path: Path, transport: MemoryTransport) -> MakePublisher:
    def made(policy: str) -> Publisher:
        lease = transport.acquire("a", "decoder", "worker", 3600)
        assert lease is not None
        return Publisher(plan(tmp_path, policy), transport, "a", "decoder", lease.token, tmp_path)

    return made


@pytest.mark.parametrize("wrong", [frame(2), frame(1), frame(3, source="b")])
def test_what_comes_out_of_order_or_of_another_source_is_refused(make: MakePublisher, wrong: Frame) -> None:
    publisher = make("live")
    publisher.publish(frame(2), Acknowledgement())
    with pytest.raises(PluginError, match="sequences must increase"):
        publisher.prepare(wrong, Acknowledgement())
    publisher.publish(frame(3), Acknowledgement())


def test_what_cannot_be_written_is_named_with_what_is_wrong(
    make: MakePublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = make("live")
    with pytest.raises(PluginError, match=r"stage 'decoder': it handed over a Data \(sequence 1\), but .*values"):
        publisher.prepare(Data(frame(1).header, "told", {"found": {1, 2}}), Acknowledgement())
    monkeypatch.setattr("pipeline.runtime.publisher.fault", lambda message: None)
    with pytest.raises(TypeError):  # the fault is ours
        publisher.prepare(Data(frame(2).header, "told", {"found": {1, 2}}), Acknowledgement())


def test_what_an_earlier_worker_published_is_not_published_again(
    make: MakePublisher, transport: MemoryTransport
) -> None:
    publisher = make("live")
    publisher.published = Position(1, 2)
    commits = [publisher.prepare(frame(sequence), Acknowledgement()) for sequence in (1, 2, 3)]
    assert [commit.publication is not None for commit in commits] == [False, False, True]
    publisher.send(commits)
    assert transport.length("a", "decoder") == 1


def test_a_file_waits_for_its_readers_and_stops_waiting_when_the_source_is_lost(make: MakePublisher) -> None:
    publisher = make("lossless")
    for sequence in range(1, LIMIT + 1):
        publisher.publish(frame(sequence), Acknowledgement())
    ended = threading.Event()

    def one_more() -> None:
        with pytest.raises(LeaseLost):
            publisher.publish(frame(LIMIT + 1), Acknowledgement())
        ended.set()

    thread = threading.Thread(target=one_more)
    thread.start()
    assert not ended.wait(0.1)
    publisher.lose()
    assert ended.wait(30)
    thread.join()


def test_room_is_made_where_readers_hold_everything_and_need_more(
    make: MakePublisher, transport: MemoryTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.runtime.publisher._STARVED_SECONDS", 0.0)
    publisher = make("lossless")
    for sequence in range(1, LIMIT + 1):
        publisher.publish(frame(sequence), Acknowledgement())
    assert len(transport.read("ledger", [("a", "decoder")], LIMIT, 0)) == LIMIT  # and acknowledges none
    for sequence in range(LIMIT + 1, LIMIT + 4):
        publisher.publish(frame(sequence), Acknowledgement())
    assert transport.length("a", "decoder") == LIMIT + 3


def test_a_camera_never_waits(make: MakePublisher, transport: MemoryTransport) -> None:
    publisher = make("live")
    for sequence in range(1, 3 * LIMIT):
        publisher.publish(frame(sequence), Acknowledgement())
    assert transport.length("a", "decoder") == LIMIT


def test_messages_that_share_a_commit_leave_some_to_readers(make: MakePublisher) -> None:
    assert make("lossless").at_once == LIMIT // 4


@pytest.mark.parametrize(
    ("size_bytes", "entries"), [(1, LIMIT), (4096, LIMIT), (20_000_000, 3), (60_000_000, 2), (10**9, 2), (4097, LIMIT)]
)
def test_entries_with_pixels_are_bounded_by_bytes(tmp_path: Path, size_bytes: int, entries: int) -> None:
    with_memory = replace(plan(tmp_path, "lossless"), redis_memory_mb=256)  # half of it for two stages: 64 MB each
    assert inline_entries(with_memory, size_bytes) == entries
