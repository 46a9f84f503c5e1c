"""A lock on an output for as long as a run works on it: two runs never write one.

The lock is a file beside the output, ``.NAME.lock``, that the worker holds open and locked (flock, which the system
releases when its holder dies, however it dies). It says which run that is. A worker that takes over within its run
shares the lock. One whose owner is dead is taken, and what that run left unfinished is removed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import socket
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.config.plan import Plan
from pipeline.config.schema import redis_place
from pipeline.errors import OutputInWork
from pipeline.runtime.output import remove_parts, unwritable

_ATTEMPTS, _PAUSE_SECONDS = 50, 0.02
"""A second, in which workers of a run that was just killed end, too. Chosen by hand; they take some 50 ms."""

_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)

log = logging.getLogger(__name__)


class Run(NamedTuple):
    """The run that takes locks."""

    key: str
    """The same for all its workers, on all hosts."""
    words: str
    """Its process, host and start, for the messages of others."""


def run_of(plan: Plan) -> Run:
    """The run of a plan. A server lets only one run use a pipeline's name at a time."""
    unique = f"{socket.gethostname()} {os.getpid()} {id(plan)}"
    key = unique if plan.redis_url is None else f"{redis_place(plan.redis_url)} {plan.name}"
    return Run(key, plan.run or this_process())


def this_process() -> str:
    """This process, its host and the time, in words."""
    now = datetime.now(timezone.utc)
    return f"process {os.getpid()} on {socket.gethostname()}, since {now:%Y-%m-%d %H:%M:%S} UTC"


class OutputLock:
    """A lock that is held. Use `take`."""

    def __init__(self, file: Path, fd: int | None) -> None:
        self._file = file
        self._fd = fd

    @classmethod
    def take(cls, output: Path, run: Run, wait: bool = True) -> OutputLock:
        """Lock an output for a run.

        Args:
            output: The file or folder. The folder it lies in exists.
            run: Shares the lock with its other workers.
            wait: Give another run a second to end.

        Raises:
            OutputInWork: If another run holds the lock.
            OutputError: If the lock's file cannot be written.
        """
        file = output.with_name(f".{output.name}.lock")
        owner: dict[str, Any] = {}
        for _ in range(_ATTEMPTS if wait else 1):
            try:
                fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            except OSError as error:
                raise unwritable(file, error) from error
            try:
                if _took_over(fd, file, output, run) or _shares(fd, file, run):
                    return cls(file, fd)
                owner = _read(fd)
            except OSError as error:
                os.close(fd)
                file.unlink(missing_ok=True)
                if error.errno not in _WITHOUT_LOCKS:
                    raise unwritable(file, error) from error
                log.warning("%s: this file system has no locks (%s): take care that no other run writes there",
                            output, error.strerror)  # fmt: skip
                return cls(file, None)
            os.close(fd)
            time.sleep(_PAUSE_SECONDS)
        raise OutputInWork(
            f"{output}: another run works on it ({owner.get('words', 'which does not say who it is')}); wait for its "
            "end, or choose another directory with -o"
        )

    def release(self) -> None:
        """Give the lock back. The last of its run removes the file."""
        fd, self._fd = self._fd, None
        if fd is None:
            return
        with contextlib.suppress(OSError):
            if _lock(fd, fcntl.LOCK_EX) and _is_there(fd, self._file):
                self._file.unlink()
        os.close(fd)


def _took_over(fd: int, file: Path, output: Path, run: Run) -> bool:
    """Take a lock that nobody holds."""
    if not _lock(fd, fcntl.LOCK_EX) or not _is_there(fd, file):
        return False
    before = _read(fd)
    if before and before["run"] != run.key:
        log.warning("%s: the run that worked on it (%s) is dead; what it left is removed", output, before["words"])
        remove_parts(output)
    os.ftruncate(fd, 0)
    os.pwrite(fd, json.dumps({"run": run.key, "words": run.words}).encode(), 0)
    return _shares(fd, file, run)


def _shares(fd: int, file: Path, run: Run) -> bool:
    """Share a lock with the other workers of the run."""
    return _lock(fd, fcntl.LOCK_SH) and _is_there(fd, file) and _read(fd).get("run") == run.key


def _lock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


def _is_there(fd: int, file: Path) -> bool:
    """Whether the open file is still the one with that name."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(file))
    except FileNotFoundError:
        return False


def _read(fd: int) -> dict[str, Any]:
    """Who wrote the lock's file; empty while nobody has."""
    try:
        return json.loads(os.pread(fd, 4096, 0))
    except ValueError:
        return {}
