"""Where workers are born: a process that has loaded the plug-ins' modules once, and forks for each worker.

Loading torch, OpenCV and numba takes seconds of a core. Done once, workers start within milliseconds, the first time
and again after a crash, and share the memory of what was loaded.

Nothing of the supervisor is forked, which has threads, locks and the reaper's pipe: the nursery is a program of its own
(`pipeline.runtime.nursery_program`), or forked before there is a supervisor (`pipeline.runtime.nursery_process`).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from pipeline.config.plan import Plan
from pipeline.config.schema import Config
from pipeline.config.wiring import search_path_of
from pipeline.errors import WorkerFailed
from pipeline.input_paths import STANDARD_INPUT
from pipeline.runtime.nursery_process import start_nursery

_ATTEMPTS = 3
"""To start a nursery that ends at once, for one worker."""


class End(NamedTuple):
    """How a worker ended."""

    status: int
    """Its exit status; negative for a signal."""
    cpu_seconds: float
    """User and system time, of all its threads."""


Plugin = tuple[str, Mapping[str, Any]] | tuple[str, Mapping[str, Any], Mapping[str, Any]]
_LOST = End(-int(signal.SIGKILL), 0.0)
"""Of workers whose nursery died: they are killed, since nobody would learn how they end."""

log = logging.getLogger(__name__)


class Nursery:
    """The supervisor's end. Not for use from several threads.

    Args:
        plugins: Plug-ins to load before workers are forked, by name, with their options as given. What cannot be
            imported is left for the worker, which says so.
        search_path: Directories where their modules may lie, after the installed ones.
        keep: Keep workers that have ended well for the next of their kind, with what they have loaded: for an owner
            that runs one plan after the other.
        piped: Give workers this program's standard input, which a source reads; else they find nothing there.
        fork: Begin as a fork of this process, if it has a single thread: for an owner that has opened nothing yet.
            What that has loaded is not loaded again.
    """

    def __init__(
        self,
        plugins: Iterable[Plugin] = (),
        search_path: Iterable[str] = (),
        keep: bool = False,
        piped: bool = False,
        fork: bool = False,
    ) -> None:
        self._plugins = list(plugins)
        self._search_path = list(search_path)
        self._keep = keep
        self._piped = piped
        self._fork = fork
        self._loaded = False
        self._living: set[int] = set()
        self._ends: dict[int, End] = {}
        self._end = ""
        self._start()

    @classmethod
    def for_config(cls, config: Config, keep: bool = False) -> Nursery:
        """One that loads the plug-ins of a configuration while this process goes on to check it."""
        sections = [*config.stages.values(), *config.sources.values()]
        plugins = [(each.use, each.options) for each in sections if each.use is not None]
        piped = any(source.input == STANDARD_INPUT for source in config.sources.values())
        return cls(plugins, search_path_of(config), keep, piped)

    @classmethod
    def for_plan(cls, plan: Plan, keep: bool = False, fork: bool = False) -> Nursery:
        """One that loads the plug-ins of a plan."""
        stages = [(each.use, each.given, asdict(each.demand)) for each in plan.stages.values()]
        sources = [(each.use, each.given) for each in plan.sources.values()]
        piped = any(source.info.input == STANDARD_INPUT for source in plan.sources.values())
        return cls([*stages, *sources], plan.search_path, keep, piped, fork)

    def wait_until_loaded(self) -> None:
        """Wait until the plug-ins are loaded, which takes seconds, and far more on a busy machine."""
        while not self._loaded and self._receive(wait=True) is not None:
            pass

    def bear(self, arguments: Sequence[str], environment: Mapping[str, str], kind: str | None = None) -> int:
        """Start a worker in a session of its own, with SIGTERM blocked until it has its handler.

        Args:
            arguments: For `pipeline.runtime.worker_program.main`.
            environment: Set in the worker, beside what it inherits.
            kind: What all workers of the same plug-in, options and environment have in common. One of them that is
                kept takes the request. None: never kept.

        Returns:
            Its process id.

        Raises:
            WorkerFailed: If the nursery cannot be started.
        """
        asked = {"arguments": list(arguments), "environment": dict(environment), "kind": kind if self._keep else None}
        request = json.dumps(asked).encode() + b"\n"
        for _ in range(_ATTEMPTS):
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._channel.sendall(request)
            while (message := self._receive(wait=True)) is not None:
                if "born" in message:
                    self._living.add(message["born"])
                    return int(message["born"])
            self._start_again()
        raise WorkerFailed(
            f"the process that starts the workers ended {_ATTEMPTS} times, the last time with {self._end}"
        )

    def ended(self, pid: int, wait: bool = False) -> End | None:
        """How a worker ended, once. None while it runs, unless `wait`."""
        while pid not in self._ends:
            if self._receive(wait) is None:
                if not self._hung_up:
                    return None
                self._start_again()
        self._living.discard(pid)
        return self._ends.pop(pid)

    def wait(self, seconds: float) -> None:
        """Wait until a worker has ended, or for so long."""
        if self._hung_up:
            time.sleep(seconds)
        elif b"\n" in self._received or select.select([self._channel], [], [], seconds)[0]:
            self._receive(wait=False)

    def close(self) -> None:
        """End it at once, also while it loads. Workers that still run are left to the reaper."""
        self._channel.close()
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        self._channel, theirs = socket.socketpair()
        self._received, self._hung_up, self._loaded = b"", False, False
        with contextlib.ExitStack() as opened:
            piped = opened.enter_context(os.fdopen(os.dup(0), "rb", 0)).fileno() if self._piped else None
            self._start_with(opened.enter_context(theirs), piped)

    def _start_with(self, theirs: socket.socket, piped: int | None) -> None:
        task = {"channel": theirs.fileno(), "stdin": piped, "plugins": self._plugins, "search_path": self._search_path}
        # Not on the command line, which every user of the machine can read: options hold passwords.
        with tempfile.TemporaryFile() as told:
            told.write(json.dumps(task).encode())
            told.seek(0)
            self._process = start_nursery(told.fileno(), theirs.fileno(), piped, self._fork)
        self._fork = False  # by now this process has the reaper's pipe, threads and locks

    def _start_again(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):  # it has hung up, and ends
            self._process.wait(timeout=1.0)
        self.close()
        self._end = f"status {self._process.returncode}"
        log.warning("the process that starts the workers ended with %s; starting another", self._end)
        for pid in self._living - set(self._ends):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            self._ends[pid] = _LOST
        self._start()

    def _receive(self, wait: bool) -> dict[str, Any] | None:
        """The next message, noted if a worker has ended; None if there is none, or none any more (`_hung_up`)."""
        while b"\n" not in self._received:
            if not wait and not select.select([self._channel], [], [], 0)[0]:
                return None
            try:
                new = self._channel.recv(65536)
            except ConnectionResetError:
                new = b""
            if not new:
                self._hung_up = True
                return None
            self._received += new
        line, _, self._received = self._received.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        if "ended" in message:
            self._ends[message["ended"]] = End(message["status"], message["cpu_seconds"])
        self._loaded = self._loaded or "loaded" in message
        return message
