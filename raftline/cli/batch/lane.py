"""The parent's side of a batch: lanes, each a process that works on one file after the other."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from pipeline.runtime.own_program import own_program
from pipeline.runtime.stop_signals import on_stop_signals
from raftline.cli.batch.files import BatchFile

_TRIES = 3
"""Of a file whose process or server was killed. Chosen by hand: it may be the file that has the system kill them."""

log = logging.getLogger("raftline.batch")

Task = dict[str, Any]
"""What is to be done of a file, as `raftline.cli.batch.tasks` says."""


@dataclass(frozen=True)
class Outcome:
    """How it went with a file, or with a task of it."""

    error: str | None = None
    """In words."""
    left: str | None = None
    """Why it was left to another run, in words."""
    again: bool = False
    """What failed was not the file: it may well succeed next time."""
    said: str = ""
    """State, frames and time, if it was not left and there is no error."""
    outputs: list[str] = field(default_factory=list)
    next: list[Task] = field(default_factory=list)
    """Tasks that come now; none: the file is done."""
    then: Task | None = None
    """The task that comes once those are done."""
    helpers: list[Task] = field(default_factory=list)
    """Tasks that may run meanwhile, and that others can do without."""

    def __str__(self) -> str:
        return f"failed: {self.error}" if self.error else f"left: {self.left}" if self.left else self.said


class Interruption:
    """Ctrl-C and SIGTERM while a batch runs: no file is begun any more, and those under way are told to drain."""

    def __init__(self, on_first: Callable[[], None] = lambda: None) -> None:
        """`on_first` is called at the first signal, in its handler."""
        self._on_first = on_first
        self.happened = False
        self.number = signal.SIGINT
        """The last of them."""
        self._children: set[subprocess.Popen[str]] = set()
        self._lock = threading.RLock()
        self._handled = on_stop_signals(self._on_signal)

    def __enter__(self) -> Interruption:
        self._handled.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handled.__exit__(kind, error, trace)

    def add(self, child: subprocess.Popen[str]) -> None:
        """`child` is to hear of it."""
        with self._lock:
            self._children.add(child)
            if self.happened:
                child.send_signal(signal.SIGINT)

    def remove(self, child: subprocess.Popen[str]) -> None:
        """`child` has ended."""
        with self._lock:
            self._children.discard(child)

    def pass_on(self, number: int) -> None:
        """Act as on this signal, which came to another process."""
        self._on_signal(number)

    def _on_signal(self, number: int) -> None:
        if not self.happened:
            self._on_first()
        self.happened, self.number = True, signal.Signals(number)
        with self._lock:
            for child in self._children:
                child.send_signal(number)


class Lane:
    """Works on one file at a time. Its process is started at the first, and again after one that has ended it.

    Args:
        request: What all files have in common.
        interruption: Hears of its process.
    """

    waiting = False
    """This machine has a place for every lane."""

    def __init__(self, request: dict[str, Any], interruption: Interruption) -> None:
        self._request = request
        self._interruption = interruption
        self._child: subprocess.Popen[str] | None = None

    def run(self, file: BatchFile, on_status: Callable[[dict[str, Any]], None], task: Task) -> Outcome:
        """Do a task of a file. `on_status` gets the summary of its source, about twice a second."""
        for _ in range(_TRIES - 1):
            outcome = self._run(file, on_status, task)
            if not outcome.again or self._interruption.happened:
                return outcome
            log.warning("%s: %s; it begins anew", file.display, outcome.error)
        return self._run(file, on_status, task)

    def _run(self, file: BatchFile, on_status: Callable[[dict[str, Any]], None], task: Task) -> Outcome:
        child = self._child or self._start()
        assert child.stdin is not None
        assert child.stdout is not None
        request = {**self._request, "name": file.name, "path": file.path, "folder": file.folder, "task": task}
        request["version"] = file.version
        try:
            child.stdin.write(json.dumps(request) + "\n")
            child.stdin.flush()
        except BrokenPipeError:
            pass  # its end is found below
        for line in child.stdout:
            told = json.loads(line)
            if "answer" in told:
                return Outcome(**told["answer"])
            on_status(told["status"])
        status = self._end()
        if self._interruption.happened:
            return Outcome("interrupted")
        if status < 0:
            return Outcome(f"its process was killed by {signal.Signals(-status).name}", again=True)
        return Outcome(f"its process ended with status {status} and said nothing")

    def close(self) -> None:
        """End its process, which has nothing to do."""
        if self._child is not None:
            self._end()

    def _start(self) -> subprocess.Popen[str]:
        self._child = subprocess.Popen(
            own_program("raftline.cli.batch.child"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C comes through `interruption`
        )
        self._interruption.add(self._child)
        return self._child

    def _end(self) -> int:
        child, self._child = self._child, None
        assert child is not None
        assert child.stdin is not None
        assert child.stdout is not None
        with child.stdout:
            try:
                child.stdin.close()
            except BrokenPipeError:
                pass
            status = child.wait()
        self._interruption.remove(child)
        return status
