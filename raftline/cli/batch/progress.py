"""What a batch shows while it goes on: a line for each file that is done, on a terminal a bar for each that runs."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from raftline.cli.batch.lane import Outcome
from raftline.cli.batch.news import BatchNews
from raftline.cli.progress import in_a_line

_MOST_OUTPUTS = 4
"""Names of outputs printed for a file. Chosen by hand: the shipped configurations write up to four."""

OnStatus = Callable[[dict[str, Any]], None]


class BatchProgress:
    """Lines on standard output; bars on standard error if that is a terminal."""

    def __init__(self, bars: Progress | None, files: int, stages: int, news: BatchNews | None = None) -> None:
        self._bars, self._news = bars, news
        self._stages = stages
        self._running: dict[str, TaskID] = {}
        self._all = bars.add_task("all files", total=files, said=f"0/{files}") if bars else None
        self._files, self._done = files, 0

    def begin(self, name: str) -> OnStatus:
        """A file, or a task of it, is begun. Returns what takes its status, from any thread."""
        shown, news = self._bar(name), self._news
        if news is None:
            return shown
        news.begin(name)
        return lambda status: (news.status(name, status), shown(status))[1]

    def _bar(self, name: str) -> OnStatus:
        bars = self._bars
        if bars is None:
            return lambda status: None
        task = self._running[name] = bars.add_task(name, total=None, said="starting")

        def show(status: dict[str, Any]) -> None:
            expected = status["frames_expected"]
            done = sum(stage["frames"] for stage in status["stages"].values())
            total = expected * self._stages if expected else None
            bars.update(task, total=total, completed=done, said=in_a_line(status))

        return show

    def leave(self, name: str) -> None:
        """What `begin` was told of has ended."""
        if self._news is not None:
            self._news.leave(name)
        if self._bars is not None:
            self._bars.remove_task(self._running.pop(name))

    def end(self, name: str, outcome: Outcome) -> None:
        """A file is done: print how it went, and what it gave."""
        self._done += 1
        if self._news is not None:
            self._news.end(failed=outcome.error is not None)
        if self._bars is not None and self._all is not None:
            self._bars.update(self._all, completed=self._done, said=f"{self._done}/{self._files}")
        print(f"[{self._done}/{self._files}] {name}: {outcome}", flush=True)
        for path in outcome.outputs[:_MOST_OUTPUTS]:
            print(f"    {path}", flush=True)
        if len(outcome.outputs) > _MOST_OUTPUTS:
            print(f"    and {len(outcome.outputs) - _MOST_OUTPUTS} more", flush=True)


@contextmanager
def batch_progress(files: int, stages: int, news: BatchNews | None = None) -> Iterator[BatchProgress]:
    """For `files` files that each go through `stages` stages; `news` is told, too."""
    with contextlib.nullcontext() if news is None else contextlib.closing(news), _bars(files) as bars:
        yield BatchProgress(bars, files, stages, news)


@contextmanager
def _bars(files: int) -> Iterator[Progress | None]:
    if not sys.stderr.isatty() or not files:
        yield None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(bar_width=30))
    columns = (*columns, TextColumn("{task.fields[said]}"), TimeElapsedColumn())
    # Lines that go elsewhere than the bars must not be drawn into among them.
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty()) as bars:
        yield bars
