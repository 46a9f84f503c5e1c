"""Which part of a long file is computed ahead next: one that the run in order does not reach too early.

The run in order passes what is there quickly, and computes what is not by itself. Where it catches up with a task that
computes ahead, both would compute the same. So what lies between them must take that run as long as the task takes,
less what the run takes for the part itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from raftline.cli.batch.lane import Task


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
        """That the last task took, its start included."""
        self._done_share = 0.0
        self._entered: tuple[int, float, bool] | None = None
        """The part in which the run in order is, since when, and whether it was there."""
        self._passes = 0.0
        """Seconds that the run in order took for a part that was there."""
        self._own: float | None = None
        """The same for one that was not."""

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
        self._done_share, now, part = share, self._clock(), int(share / self._length)
        if self._entered is not None and part > self._entered[0]:
            seconds = (now - self._entered[1]) / (part - self._entered[0])
            if self._entered[2]:
                self._passes = seconds
            else:
                self._own = seconds
        if self._entered is None or part != self._entered[0]:
            self._entered = part, now, any(at <= share < at + self._length for at in self._there)

    @property
    def _enough(self) -> float:
        """Share of the file that the run in order has to compute by itself before it reaches a part."""
        if self._seconds is None or self._own is None:
            return 0.999 * self._length  # shares are not exact
        return self._length * max(0.0, self._seconds - self._passes) / max(self._own, 1e-3)

    def _left_until(self, at: float) -> float:
        left = at - self._done_share
        return left - sum(max(0.0, min(at, each + self._length) - max(self._done_share, each)) for each in self._there)
