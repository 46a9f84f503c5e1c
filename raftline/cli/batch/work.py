"""What a batch does next: whole files, and the tasks of long ones, on lanes that each work on one at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Protocol

from raftline.cli.batch.ahead import PartsAhead
from raftline.cli.batch.files import BatchFile
from raftline.cli.batch.lane import Interruption, Outcome, Task
from raftline.cli.batch.progress import BatchProgress, OnStatus

_LOOK_SECONDS = 0.2


class AnyLane(Protocol):
    """Where tasks are done."""

    @property
    def waiting(self) -> bool:
        """Whether its task has not begun, for want of a place that another lane may hold."""
        ...

    def run(self, file: BatchFile, on_status: OnStatus, task: Task) -> Outcome:
        """Do a task of a file."""
        ...

    def close(self) -> None:
        """Give back what it holds; it can be used again."""
        ...


class FileWork:
    """The tasks of one file: which is next, and how it ended."""

    def __init__(self, file: BatchFile, begin: Task) -> None:
        self.file = file
        self.outcome: Outcome | None = None
        """Once the file is done."""
        self.begun = False
        self._ready: deque[Task] = deque([begin])
        self._then: Task | None = None
        self._ahead = PartsAhead([])
        self._running: list[Task] = []

    @property
    def finished(self) -> bool:
        """Whether nothing of it runs or is to be done."""
        return self.outcome is not None and not self._running

    def take(self, help: bool = False) -> Task | None:
        """The next task, which now runs; None: there is none now.

        Args:
            help: One that others can do without.
        """
        task = self._ahead.take() if help else self._next()
        if task is not None:
            self.begun = True
            self._running.append(task)
        return task

    def done(self, task: Task, outcome: Outcome) -> None:
        """A task has ended."""
        self._running.remove(task)
        if _is_help(task):
            self._ahead.ended(task)
            return
        self._ahead = PartsAhead(outcome.helpers)
        if outcome.error or outcome.left:
            self._ready.clear()
            self._then, self.outcome = None, self.outcome or outcome
            return
        self._ready += outcome.next
        self._then = outcome.then or self._then
        if not self._ready and not self._working and self.outcome is None:
            if self._then is None:
                self.outcome = outcome
            else:
                self._ready.append(self._then)
                self._then = None

    def follow(self, task: Task, show: OnStatus) -> OnStatus:
        """Note how far a task is, and show it."""

        def on_status(status: dict[str, Any]) -> None:
            if task["do"] == "in-order" and status["frames_expected"]:
                self._ahead.passed(status["frames_decoded"] / status["frames_expected"])
            show(status)

        return on_status

    def title(self, task: Task) -> str:
        """What is shown of a task."""
        said = {
            "in-order": "in order",
            "measure": f"measuring, section {task.get('place', 0) + 1}",
            "path": "path",
            "ahead": f"ahead, part {task.get('number', 0) + 1}",
            "rest": f"segment {task.get('number', 0) + 1}",
            "join": "joining",
        }.get(task["do"])
        return self.file.display if said is None else f"{self.file.display}: {said}"

    @property
    def _working(self) -> bool:
        return any(not _is_help(task) for task in self._running)

    def _next(self) -> Task | None:
        if self._ready and self._ready[0]["do"] == "join" and self._running:
            return None  # it removes what helpers write
        return self._ready.popleft() if self._ready else None


def run_all(
    files: Sequence[BatchFile],
    lanes: Sequence[AnyLane],
    progress: BatchProgress,
    interruption: Interruption,
    segment_seconds: float | None,
) -> dict[str, Outcome]:
    """Do all files; how it went with each, by the name that is shown.

    Args:
        files: Each once.
        lanes: At least one.
        progress: Shows it.
        interruption: Nothing is begun any more once it happened.
        segment_seconds: Length of the segments of long files, which are cut where fewer files wait than there are
            lanes; None: files are not cut.
    """
    works = [FileWork(file, {"do": "begin", "segment_seconds": None}) for file in files]
    free = list(lanes)
    with ThreadPoolExecutor(len(lanes)) as pool:
        running: dict[Future[Outcome], tuple[FileWork, Task, AnyLane]] = {}
        while True:
            # Where a task has no place, lanes that could help are left free, and give theirs back below.
            helps = not any(lane.waiting for _, task, lane in running.values() if not _is_help(task))
            for work, task in _due(works, helps, lambda: bool(free) and not interruption.happened):
                if task["do"] == "begin" and 1 + sum(not each.begun for each in works) < len(lanes):
                    task["segment_seconds"] = segment_seconds
                lane = free.pop()
                show = work.follow(task, progress.begin(work.title(task)))
                running[pool.submit(lane.run, work.file, show, task)] = work, task, lane
            if not running:
                break
            done, _ = wait(running, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                work, task, lane = running.pop(future)
                free.append(lane)
                work.done(task, future.result())
                progress.leave(work.title(task))
                if work.finished and work.outcome is not None:
                    progress.end(work.file.display, work.outcome)
            if not done:  # what a lane holds may be what another one waits for, whose node was lost
                for lane in free:
                    lane.close()
        for lane in free:
            lane.close()
    return {work.file.display: work.outcome or Outcome("interrupted") for work in works if work.begun}


def _due(works: Sequence[FileWork], helps: bool, may: Callable[[], bool]) -> Iterator[tuple[FileWork, Task]]:
    """Tasks for free lanes: of files in order, then, where it `helps`, what others can do without."""
    for help in (False, True)[: 1 + helps]:
        for work in works:
            while may() and (task := work.take(help)) is not None:
                yield work, task


def _is_help(task: Task) -> bool:
    return task["do"] == "ahead"
