"""Which part of a long file is computed ahead next: one that the run in order does not reach too early.

The run in order passes what is there quickly, and computes what is not by itself. Where it catches up with a task that
computes ahead, both would compute the same. So a task leaves it enough to do first: a part of the file, or nothing,
once it has been seen that the run in order is slower on what is there than the task computes it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from raftline.cli.batch_lane import Task


class PartsAhead:
    """The tasks ``ahead`` of a file, each with the share of the file ``at`` which its part begins, in order."""

    def __init__(self, tasks: Sequence[Task], clock: Callable[[], float] = time.monotonic) -> None:
        self._open = list(tasks)
        self._clock = clock
        self._length = tasks[1]["at"] - tasks[0]["at"] if len(tasks) > 1 else 1.0
        """Share of the file that a part is."""
        self._there: list[float] = []
        """Where parts begin that are computed, or are being computed."""
        self._begun: dict[int, float] = {}
        self._seconds: float | None = None
        """For which the last part was computed."""
        self._done_share = 0.0
        self._entered: tuple[float, float] | None = None
        """When the run in order entered a part that was there, and its begin."""
        self._passes: float | None = None
        """Seconds that the run in order took for such a part."""

    def take(self) -> Task | None:
        """The one to compute now; None: there is none any more."""
        self._open = [task for task in self._open if task["at"] >= self._done_share]
        if not self._open:
            return None
        task = next((each for each in self._open if self._left_until(each["at"]) >= self._enough), self._open[-1])
        self._open.remove(task)
        self._there.append(task["at"])
        self._begun[task["number"]] = self._clock()
        return task

    def ended(self, task: Task) -> None:
        """A task has ended."""
        if task["number"] in self._begun:
            self._seconds = self._clock() - self._begun.pop(task["number"])

    def passed(self, share: float) -> None:
        """The run in order has come so far."""
        self._done_share, now = share, self._clock()
        if self._entered is not None and share >= self._entered[1] + self._length:
            self._passes, self._entered = now - self._entered[0], None
        begin = next((at for at in self._there if at <= share < at + self._length), None)
        if begin is not None and self._entered is None:
            self._entered = now, begin

    @property
    def _enough(self) -> float:
        """Share of the file that the run in order has to compute by itself before it reaches a part."""
        fast = self._seconds is not None and self._passes is not None and self._seconds <= self._passes
        return 0.0 if fast else 0.999 * self._length  # shares are not exact

    def _left_until(self, at: float) -> float:
        left = at - self._done_share
        return left - sum(max(0.0, min(at, each + self._length) - max(self._done_share, each)) for each in self._there)
