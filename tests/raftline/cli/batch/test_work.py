"""In which order a batch does whole files and the tasks of long ones, on how many lanes, and what a failure ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from raftline.cli.batch.files import BatchFile
from raftline.cli.batch.lane import Interruption, Outcome, Task
from raftline.cli.batch.progress import BatchProgress, OnStatus
from raftline.cli.batch.work import FileWork, run_all

LONG = BatchFile("long", "long.mp4")
RESTS: list[Task] = [{"do": "rest", "number": number} for number in range(2)]
JOIN: Task = {"do": "join", "count": 2}


def helper(number: int) -> Task:
    return {"do": "ahead", "number": number, "at": number / 4}


def work_in_order(helpers: list[Task] | None = None) -> tuple[FileWork, Task]:
    """A long file whose run in order has begun."""
    work = FileWork(LONG, {"do": "begin"})
    begin = work.take()
    assert begin is not None
    work.done(begin, Outcome(next=[{"do": "in-order"}], helpers=helpers or []))
    in_order = work.take()
    assert in_order is not None and in_order["do"] == "in-order" and work.take() is None
    return work, in_order


def test_segments_come_after_the_run_in_order_and_are_joined_when_all_are_done() -> None:
    work, in_order = work_in_order()
    work.done(in_order, Outcome(next=RESTS, then=JOIN))
    assert [work.take(), work.take(), work.take()] == [*RESTS, None]
    work.done(RESTS[1], Outcome())
    assert work.take() is None
    work.done(RESTS[0], Outcome())
    assert work.take() == JOIN and not work.finished
    work.done(JOIN, Outcome(said="finished"))
    assert work.finished and work.outcome == Outcome(said="finished")


def test_what_helps_is_taken_only_ahead_of_the_run_in_order_and_holds_up_only_the_join() -> None:
    work, in_order = work_in_order([helper(1), helper(2), helper(3)])
    assert work.take(help=True) == helper(1)
    work.follow(in_order, lambda status: None)({"frames_decoded": 60, "frames_expected": 100})
    assert work.take(help=True) == helper(3) and work.take(help=True) is None
    work.done(helper(1), Outcome("its node was lost"))
    work.done(in_order, Outcome(next=RESTS[:1], then=JOIN))
    assert work.take() == RESTS[0]
    work.done(RESTS[0], Outcome())
    assert work.take() is None
    work.done(helper(3), Outcome())
    assert work.take() == JOIN


def test_a_task_that_fails_fails_the_file_once_the_others_have_ended() -> None:
    work, in_order = work_in_order()
    work.done(in_order, Outcome(next=RESTS, then=JOIN))
    work.take()
    work.take()
    work.done(RESTS[0], Outcome("disk full"))
    assert not work.finished and work.take() is None
    work.done(RESTS[1], Outcome())
    assert work.finished and work.outcome == Outcome("disk full")


class Lanes:
    """Lanes that note what they do; all tasks of a kind wait for each other where `together` says so."""

    waiting = False

    def __init__(self, answer: Callable[[BatchFile, Task], Outcome], together: int = 1) -> None:
        self.answer, self.done = answer, list[tuple[str, Task]]()
        self._met = threading.Barrier(together)

    def run(self, file: BatchFile, on_status: OnStatus, task: Task) -> Outcome:
        if task["do"] == "rest":
            self._met.wait(30)
        self.done.append((file.name, task))
        return self.answer(file, task)

    def close(self) -> None:
        pass


def in_segments(file: BatchFile, task: Task) -> Outcome:
    answers: dict[str, Any] = {
        "begin": Outcome(next=[{"do": "in-order"}]) if task.get("segment_seconds") else Outcome(said="whole"),
        "in-order": Outcome(next=RESTS, then=JOIN),
        "join": Outcome(said="joined"),
    }
    return answers.get(task["do"], Outcome())


@pytest.mark.parametrize(
    ("files", "lanes", "cut"), [(1, 1, []), (1, 2, ["0"]), (2, 2, ["1"]), (3, 2, ["2"]), (2, 3, ["0", "1"])]
)
def test_files_are_cut_where_fewer_wait_than_there_are_lanes(files: int, lanes: int, cut: list[str]) -> None:
    lane, names = Lanes(in_segments), [str(number) for number in range(files)]
    progress = BatchProgress(None, files, 1)
    batch = [BatchFile(name, f"{name}.mp4") for name in names]
    outcomes = run_all(batch, [lane] * lanes, progress, Interruption(), 600.0)
    assert {name: outcomes[f"{name}.mp4"].said for name in names} == {
        name: "joined" if name in cut else "whole" for name in names
    }


def test_segments_of_a_file_are_worked_on_at_the_same_time() -> None:
    lane = Lanes(in_segments, together=2)
    outcomes = run_all([LONG], [lane, lane], BatchProgress(None, 1, 1), Interruption(), 600.0)
    assert outcomes == {"long.mp4": Outcome(said="joined")}
    assert [task["do"] for _, task in lane.done] == ["begin", "in-order", "rest", "rest", "join"]


class LastPlace:
    """Two lanes and one place, which the helping lane holds until it is closed."""

    def __init__(self) -> None:
        self.waiting = False
        self.helped, self.given_back = 0, threading.Event()

    def run(self, file: BatchFile, on_status: OnStatus, task: Task) -> Outcome:
        if task["do"] == "begin":
            helpers: list[Task] = [{"do": "ahead", "number": number, "at": number / 9} for number in range(1, 9)]
            return Outcome(next=[{"do": "in-order"}], helpers=helpers)
        if task["do"] == "in-order":
            self.waiting = True
            assert self.given_back.wait(30), "the helping lane keeps the last place"
            return Outcome(said="done")
        self.helped += 1
        return Outcome()

    def close(self) -> None:
        self.given_back.set()


def test_where_the_run_in_order_has_no_place_a_lane_that_helps_gives_it_its_own() -> None:
    place = LastPlace()
    outcomes = run_all([LONG], [place, place], BatchProgress(None, 1, 1), Interruption(), 600.0)
    assert outcomes["long.mp4"].said == "done" and place.helped < 8
