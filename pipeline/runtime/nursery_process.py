"""The nursery's process: a fork of this one where that is safe, otherwise a program of its own.

A fork has what this process has loaded already, which saves a third of the time until the plug-ins are loaded. It is
safe while this process has a single thread, and clean while it has opened nothing: at the start of a command.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn, Protocol

from pipeline.runtime.cores import thread_environment
from pipeline.runtime.own_program import own_program

_THREADS, _OPEN_FILES = Path("/proc/self/task"), Path("/proc/self/fd")
"""Of this process, on Linux."""
_LARGEST_KEPT, _MOST_FREE = 32 * 2**20, 256 * 2**20
"""Bytes. glibc gives arrays of frames back to the kernel and takes them anew for each frame, unless it is told to keep
them; 32 MB is the most that it accepts. Measured on motion masks: a third less time in the kernel."""
_MALLOC = {"MALLOC_TRIM_THRESHOLD_": (-1, _MOST_FREE), "MALLOC_MMAP_THRESHOLD_": (-3, _LARGEST_KEPT)}
"""glibc's variables, which it reads when a program starts; their numbers for mallopt, and values."""
_LOOK_SECONDS = 0.005


class NurseryProcess(Protocol):
    """What is used of `subprocess.Popen`."""

    @property
    def returncode(self) -> int | Any:
        """None until `wait` has returned."""
        ...

    def wait(self, timeout: float | None = None) -> int: ...

    def kill(self) -> None: ...


def start_nursery(task: int, channel: int, piped: int | None, may_fork: bool) -> NurseryProcess:
    """Start the nursery's program.

    Args:
        task: File descriptor of the task, which becomes its standard input.
        channel: File descriptor of the nursery's end of its socket.
        piped: File descriptor of what workers find on their standard input; None: nothing.
        may_fork: Fork this process if it has a single thread. Nothing that it has open is left open in the fork.
    """
    kept = (channel,) if piped is None else (channel, piped)
    if may_fork and _THREADS.exists() and sum(1 for _ in _THREADS.iterdir()) == 1:
        return _Fork(task, kept)
    return subprocess.Popen(
        own_program("pipeline.runtime.nursery_program"),
        stdin=task,
        env={**_environment(), **os.environ},
        pass_fds=kept,
        start_new_session=True,  # Ctrl-C goes to the supervisor, which drains
    )


class _Fork:
    def __init__(self, task: int, kept: tuple[int, ...]) -> None:
        self.returncode: int | None = None
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # otherwise each worker would write it once more
        self._pid = os.fork()
        if self._pid == 0:
            _serve(task, kept)

    def wait(self, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.returncode is None:
            pid, status = os.waitpid(self._pid, 0 if deadline is None else os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
            elif deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("the nursery", timeout or 0.0)
            else:
                time.sleep(_LOOK_SECONDS)
        return self.returncode

    def kill(self) -> None:
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)


def _serve(task: int, kept: tuple[int, ...]) -> NoReturn:
    """Be the nursery, in the fork, as if started as a program: what this process was doing is never gone on with."""
    status = 1
    try:
        os.setsid()
        os.dup2(task, 0)
        _leave_open(kept)
        for name, value in _environment().items():
            if name in _MALLOC and name not in os.environ:
                ctypes.CDLL(None).mallopt(*_MALLOC[name])
            os.environ.setdefault(name, value)
        from pipeline.runtime.nursery_program import main

        main()
    except SystemExit as left:
        status = left.code if isinstance(left.code, int) else status
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def open_files() -> list[int]:
    """What this process has open, in order; empty where that cannot be seen, off Linux."""
    return sorted(int(each.name) for each in _OPEN_FILES.iterdir()) if _OPEN_FILES.exists() else []


def _leave_open(kept: tuple[int, ...]) -> None:
    """Close everything but these, input and output."""
    for file in open_files():
        if file > 2 and file not in kept:
            with contextlib.suppress(OSError):
                os.close(file)


def _environment() -> dict[str, str]:
    # One thread until a worker knows its share: a pool that exists does not survive the fork.
    # A short spin: stages share the cores, and threads that spin for long while they wait for each other take them from
    # the rest. Measured with RAFT-small on two cores: as fast as the default's long spin when alone, and about six
    # times faster beside busy neighbours.
    kept = {name: str(value) for name, (_, value) in _MALLOC.items()}
    return {"GOMP_SPINCOUNT": "2000", **kept, **thread_environment(1)}
