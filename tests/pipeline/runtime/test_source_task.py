"""One source at work, over a transport in this process: what it publishes, how it ends, where its successor goes on."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from pipeline.codec import decode
from pipeline.errors import InputError
from pipeline.messages import EndOfStream, Frame, Gap, Header, Message
from pipeline.payload.inline import InlinePayload
from pipeline.runtime.metrics import ELAPSED_US, FRAMES
from pipeline.runtime.source_task import SourceTask
from pipeline.stage import Context, Options, Source
from pipeline.testing import make_frame
from pipeline.transport.memory import MemoryTransport
from tests.pipeline.running import make_test_plan

FRAME_COUNT = 12


class Scripted(Source):
    """Frames and a gap, then what a test wants."""

    then: ClassVar[Callable[[Scripted], None]] = lambda self: None
    closed: ClassVar[list[int]] = []
    began: ClassVar[list[tuple[int, Header | None]]] = []

    class Options(Options):
        pass

    def __init__(self, options: Any, context: Context) -> None:
        super().__init__(options, context)
        self.stopped = threading.Event()

    def read(self, start_index: int) -> Iterator[Frame | Gap]:
        self.began.append((start_index, self.delivered))
        for index in range(start_index, FRAME_COUNT):
            if index == 3:
                yield Gap(self.context.header(None, Fraction(1, 25)), "lost_frames")
            self.context.count("looked")
            yield make_frame(
                np.full((8, 8), index, np.uint8), index, header=self.context.header(index, Fraction(1, 25))
            )
        type(self).then(self)

    def frame_count(self) -> int | None:
        return FRAME_COUNT

    def stop(self) -> None:
        self.stopped.set()

    def close(self) -> None:
        self.closed.append(1)


class Life:
    """One task after another, each of a worker of its own, with a reader that takes everything."""

    def __init__(self, folder: Path, policy: str) -> None:
        for noted in (Scripted.closed, Scripted.began):
            noted.clear()
        stages = {"ledger": {"use": "Ledger", "reads": "decoder"}}
        sources = {"a": {"input": "counter", "use": f"{__name__}:Scripted"}}
        self.plan = make_test_plan(folder, stages, sources=sources, payload="inline", policy=policy)
        self.transport, self.folder = MemoryTransport(), folder
        self.workers = 0

    def task(self) -> SourceTask:
        self.transport.release_worker(f"worker{self.workers}", ["a"], "decoder")
        self.workers += 1
        lease = self.transport.acquire("a", "decoder", f"worker{self.workers}", 3600)
        assert lease is not None
        return SourceTask(self.plan, self.transport, "a", "decoder", lease.token, self.folder)

    def run(self) -> SourceTask:
        """A task from its start to the end of its threads."""
        task = self.task()
        task.start()
        task.close()
        assert not task.running
        return task

    def read(self) -> list[Message]:
        entries = self.transport.read("ledger", [("a", "decoder")], 1000, 0.01)
        return [decode(entry.fields, InlinePayload()) for _, entry in entries]


@pytest.fixture
def policy() -> str:
    return "lossless"


@pytest.fixture
def life(tmp_path: Path, policy: str, monkeypatch: pytest.MonkeyPatch) -> Life:
    monkeypatch.setattr(Scripted, "then", lambda self: None)
    return Life(tmp_path, policy)


@pytest.mark.parametrize("policy", ["lossless", "live"])
def test_everything_is_numbered_from_one_and_counted_and_the_end_comes_last(life: Life) -> None:
    begin_ms = time.time_ns() // 1_000_000
    task = life.run()
    messages = life.read()
    headers = [message.header for message in messages]
    assert [header.sequence for header in headers] == list(range(1, FRAME_COUNT + 3))
    assert {header.epoch for header in headers} == {headers[0].epoch} and headers[0].epoch >= begin_ms
    assert [type(message).__name__ for message in messages[2:5]] == ["Frame", "Gap", "Frame"]
    assert [message.index for message in messages if isinstance(message, Frame)] == list(range(FRAME_COUNT))
    end = messages[-1]
    assert isinstance(end, EndOfStream) and (end.reason, end.error, end.header.time_base) == (
        "end",
        None,
        Fraction(1, 25),
    )
    counters = life.transport.counters("a", "decoder")
    assert (counters[FRAMES], counters["looked"]) == (FRAME_COUNT, FRAME_COUNT)
    assert 0 <= counters[ELAPSED_US] < 60e6
    assert life.transport.status("a", "decoder") == {"frames_expected": str(FRAME_COUNT), "end": "end"}
    assert task.ended and task.error is None and task.delivered == FRAME_COUNT and Scripted.closed == [1]


def test_a_source_that_has_ended_is_not_begun_again(life: Life) -> None:
    life.run()
    again = life.task()
    assert again.ended
    again.start()
    assert not again.running
    again.close()
    assert len(Scripted.began) == 1


def test_a_successor_goes_on_after_the_last_frame_that_was_published(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = ValueError("a camera like no other")

    def breaks(self: Scripted) -> None:
        raise broken

    monkeypatch.setattr(Scripted, "then", breaks)
    first = life.run()
    assert first.error is broken and not first.ended
    before = life.read()
    monkeypatch.setattr(Scripted, "then", lambda self: None)
    life.run()
    after = life.read()
    assert [begun[0] for begun in Scripted.began] == [0, FRAME_COUNT] and Scripted.began[0][1] is None
    last = before[-1].header
    assert Scripted.began[1][1] == last
    assert [type(message) for message in after] == [EndOfStream]
    assert (after[0].header.epoch, after[0].header.sequence) == (last.epoch, last.sequence + 1)


def test_an_input_that_fails_ends_its_stream_with_its_words(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Scripted) -> None:
        raise InputError("a.mp4: cut off")

    monkeypatch.setattr(Scripted, "then", fails)
    task = life.run()
    end = life.read()[-1]
    assert isinstance(end, EndOfStream) and (end.reason, end.error) == ("failed", "a.mp4: cut off")
    assert task.ended and task.error is None
    assert life.transport.status("a", "decoder")["error"] == "a.mp4: cut off"


@pytest.mark.parametrize(("how", "ended"), [("stop", True), ("restart", False), ("lose", False)])
def test_a_source_that_is_told_to_stop_says_so_and_one_that_goes_on_elsewhere_ends_nothing(
    life: Life, monkeypatch: pytest.MonkeyPatch, how: str, ended: bool
) -> None:
    waits = threading.Event()

    def stands(self: Scripted) -> None:
        waits.set()
        assert self.stopped.wait(30)

    monkeypatch.setattr(Scripted, "then", stands)
    task = life.task()
    task.start()
    assert waits.wait(30)
    assert task.running
    if how == "lose":
        life.transport.release_worker("worker1", ["a"], "decoder")
        assert life.transport.acquire("a", "decoder", "another", 3600) is not None
    getattr(task, how)()
    task.close()
    ends = [message.reason for message in life.read() if isinstance(message, EndOfStream)]
    assert (task.ended, ends, task.error) == (ended, ["stopped"] if ended else [], None)
    assert Scripted.closed == [1]


def test_a_source_that_is_given_up_ends_with_the_reason(life: Life) -> None:
    task = life.task()
    task.fail("tried six times")
    task.close()
    (end,) = life.read()
    assert isinstance(end, EndOfStream) and (end.reason, end.error) == ("failed", "tried six times")
    assert life.transport.status("a", "decoder") == {"error": "tried six times", "end": "failed"}


def test_frames_of_a_file_that_wait_share_a_commit_and_no_more_than_leave_some_to_readers(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    commit_all = life.transport.commit_all

    def counted(commits: Any) -> Any:
        sizes.append(len(commits))
        return commit_all(commits)

    monkeypatch.setattr(life.transport, "commit_all", counted)
    monkeypatch.setattr("pipeline.runtime.source_task._GATHER_SECONDS", 30.0)
    task = life.run()
    most = task.publisher.at_once
    assert sizes[0] == most > 1 and max(sizes) <= most
    assert sum(sizes) == FRAME_COUNT + 2
    progress = life.transport.progress("a", "decoder")
    assert json.loads(progress.snapshot or "")["index"] == FRAME_COUNT
