"""What a run shows while it goes on: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from pipeline.config import Plan

PLAIN_SECONDS = 5.0

Status = dict[str, Any]


class RunProgress(Protocol):
    """Takes the supervisor's status, about twice a second."""

    def __enter__(self) -> RunProgress: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def update(self, status: Status) -> None:
        """Show it."""


def progress_of(plan: Plan) -> RunProgress:
    """Bars if stderr is a terminal, else a line every five seconds."""
    return Bars(plan) if sys.stderr.isatty() else Lines(plan)


class Bars:
    """A bar for every source, over the frames of all its stages."""

    def __init__(self, plan: Plan) -> None:
        self._stages = len(plan.stages)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[said]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        for name in plan.sources:
            self._add(name)

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def update(self, status: Status) -> None:
        """The bar counts every stage's frames: a stage that waits for the whole clip moves it late, but evenly."""
        for name in self._tasks.keys() - status["sources"].keys():  # removed while it ran
            self._progress.remove_task(self._tasks.pop(name))
        for name, source in status["sources"].items():
            if name not in self._tasks:
                self._add(name)
            expected = source["frames_expected"]
            done = sum(stage["frames"] for stage in source["stages"].values())
            self._progress.update(
                self._tasks[name],
                total=expected * self._stages if expected else None,
                completed=done,
                said=in_a_line(source),
            )

    def _add(self, name: str) -> None:
        self._tasks[name] = self._progress.add_task(name, total=None, said="starting")


class Lines:
    """A plain line for every source, every `PLAIN_SECONDS`; nothing for a run that is shorter."""

    def __init__(self, plan: Plan) -> None:
        self._begin = time.monotonic()
        self._next = self._begin + PLAIN_SECONDS

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def update(self, status: Status) -> None:
        """Print, if it is time."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + PLAIN_SECONDS
        for name, source in status["sources"].items():
            print(f"{now - self._begin:6.0f} s  {name}: {in_a_line(source)}", file=sys.stderr, flush=True)


def in_a_line(source: Status) -> str:
    """``120/300 frames, slowest: flow 80 at 5.1 fps, dropped 3``"""
    if source["state"] == "leaving":
        return "leaving: its stages finish what was read"
    if source["state"] != "running":
        return source["state"]
    expected = source["frames_expected"]
    frames = f"{source['frames_decoded']}{f'/{expected}' if expected else ''} frames"
    rates = [(stage["fps"], name) for name, stage in source["stages"].items() if stage["fps"]]
    slowest = ""
    if rates:
        fps, name = min(rates)
        slowest = f", slowest: {name} {source['stages'][name]['frames']} at {fps:.1f} fps"
    dropped = sum(n for stage in source["stages"].values() for n in stage["dropped"].values())
    restarts = sum(stage["restarts"] for stage in source["stages"].values())
    return (
        frames
        + slowest
        + (f", dropped {dropped}" if dropped else "")
        + (f", restarts {restarts}" if restarts else "")
        + _trouble(source)
    )


def _trouble(source: Status) -> str:
    """``; camera lost: connection refused, next try at 08:15:04; hook: answered 503``; empty where there is none."""
    text = f"; {source['waits']}" if source.get("waits") else ""
    for name, stage in source["stages"].items():
        said = stage["status"]
        if said.get("trouble"):
            again = f"next try at {said['next_try'][11:19]}" if said["next_try"] else "trying now"
            text += f"; camera {said['camera']}: {said['trouble']}, {again}"
        if said.get("receiver"):
            text += f"; {name}: {said['receiver']}"
    return text
