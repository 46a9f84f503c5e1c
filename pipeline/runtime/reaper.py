"""A process that outlives a pipeline by a moment, so that nothing is left behind.

The reaper waits on a pipe. When its owner ends, in whatever way, the pipe closes; the reaper then kills the processes
that the owner reported and removes the run directory. If both are killed at once, the next pipeline of the same user
cleans up (`pipeline.runtime.run_directory.sweep`). Never fork the owner: the copy would hold the pipe open.
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
import threading

from pipeline.errors import StopOverdue
from pipeline.runtime import reaper_program
from pipeline.runtime.run_directory import RunDirectory

_CLOSE_SECONDS = 15.0
"""Longest wait for the reaper at a normal end. It takes a second at most (`reaper_program`); the rest is for a busy
machine."""
_OVERDUE_SECONDS = 1.0
"""Longest wait for it where time is up. Chosen by hand: what it takes, as a rule."""

log = logging.getLogger(__name__)


class Reaper:
    """The owner's end of the pipe. Safe to use from several threads."""

    def __init__(self, directory: RunDirectory, process: subprocess.Popen[bytes]) -> None:
        self.directory = directory
        self.pid = process.pid
        self._process = process
        self._lock = threading.Lock()
        assert process.stdin is not None
        self._pipe = process.stdin

    @classmethod
    def start(cls, directory: RunDirectory) -> Reaper:
        """Start the reaper of `directory` in its own session, so that Ctrl-C does not reach it.

        Raises:
            OSError: If it does not start.
        """
        command = [sys.executable, "-I", "-S", reaper_program.__file__, *(str(each.path) for each in directory.all)]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=[each.lock_fd for each in directory.all],
            cwd="/",
        )
        assert process.stdout is not None
        with process.stdout as said:
            if said.readline() != reaper_program.READY:
                process.kill()
                raise OSError(f"the reaper process did not start (status {process.wait()})")
        return cls(directory, process)

    def watch(self, pid: int) -> None:
        """Have process `pid` (and its group, if it leads one) killed if this process ends first."""
        self._say(f"pid {pid}\n")

    def forget(self, pid: int) -> None:
        """Stop watching `pid`, which has ended: its number may soon belong to another process."""
        self._say(f"done {pid}\n")

    def close(self) -> None:
        """End normally: kill what is still watched, remove the directory, and wait until that is done."""
        with self._lock, contextlib.suppress(OSError):
            self._pipe.close()
        if self._process.returncode is not None:
            return
        try:
            self._process.wait(timeout=_CLOSE_SECONDS)
        except StopOverdue:  # it is quick, as a rule, and nothing else is left to be tidied up
            self._wait_or_kill(_OVERDUE_SECONDS)
            raise
        except subprocess.TimeoutExpired:
            self._wait_or_kill(0.0)
        finally:
            self.directory.remove()

    def _wait_or_kill(self, seconds: float) -> None:
        try:
            self._process.wait(timeout=seconds)
        except (subprocess.TimeoutExpired, StopOverdue):
            self._process.kill()
            self._process.wait()

    def _say(self, line: str) -> None:
        with self._lock:
            try:
                self._pipe.write(line.encode())
                self._pipe.flush()
            except (OSError, ValueError):
                log.warning("the reaper process %d is gone: if this pipeline is killed, its workers run on", self.pid)
