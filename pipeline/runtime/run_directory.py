"""The directory that holds a run's socket and shared memory.

Only its user can enter it. It lies in ``/dev/shm`` if that exists and has room, and then has a second one in the
directory for temporary files beside it, for what does not fit; otherwise it lies there itself. A lock marks a directory
as in use; the next run removes every one whose lock nobody holds.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pipeline.payload.ring_space import DISK
from pipeline.runtime.reaper_program import kill, server_pids

SHARED_MEMORY = Path("/dev/shm")
LOCK_NAME = "lock"
LONGEST_SOCKET_PATH = 100
"""Bytes. ``sockaddr_un.sun_path`` holds 108 on Linux and 104 elsewhere, including a final zero byte."""
_ROOM_FOR_NAMES = 30
"""Bytes of `LONGEST_SOCKET_PATH` left for the random part of the directory's name and for ``/redis.sock``."""
_LEAST_FREE_BYTES = 1 << 20
"""What a place must have free: more than the plan and the lock take. Chosen by hand."""
_YOUNG_SECONDS = 60.0
"""A directory without a lock file may still be in the making for this long; generous, since making it takes
milliseconds."""
_UNLOCKED_SECONDS = 10.0
"""A new lock file may exist for this long before its maker locks it; generous, since the two calls are microseconds
apart unless the machine has better things to do between them."""

log = logging.getLogger(__name__)


class RunDirectory:
    """A directory that belongs to one run, locked for as long as its maker or its reaper lives."""

    def __init__(self, path: Path, lock_fd: int, disk: RunDirectory | None = None) -> None:
        self.path = path
        self.lock_fd = lock_fd
        self.disk = disk
        """For what does not fit; `ring_space.DISK` in `path` leads there."""

    @classmethod
    def create(cls) -> RunDirectory:
        """Clean up after killed pipelines of this user, then make a new directory with mode 0700.

        Raises:
            OSError: If none can be written.
        """
        sweep()
        place = _place()
        directory = cls._locked(place)
        larger = next((other for other in _places() if other.stat().st_dev != place.stat().st_dev), None)
        if place == SHARED_MEMORY and larger is not None:
            directory.disk = cls._locked(larger)
            (directory.path / DISK).symlink_to(directory.disk.path)
        return directory

    @classmethod
    def _locked(cls, place: Path) -> RunDirectory:
        path = Path(tempfile.mkdtemp(prefix=_prefix(), dir=place))
        lock_fd = os.open(path / LOCK_NAME, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock_fd, fcntl.LOCK_EX)
        return cls(path, lock_fd)

    @property
    def all(self) -> list[RunDirectory]:
        """Itself, and the one on disk if there is one."""
        return [self] if self.disk is None else [self, self.disk]

    def remove(self) -> None:
        """Remove both directories with their contents, and release the locks."""
        for each in self.all:
            shutil.rmtree(each.path, ignore_errors=True)
            with contextlib.suppress(OSError):
                os.close(each.lock_fd)


def sweep() -> list[Path]:
    """Clean up after pipelines of this user that were killed together with their reaper.

    Returns:
        The run directories that were removed.
    """
    swept = []
    for path in run_directories():
        if _is_abandoned(path):
            for pid in server_pids(path):
                kill(pid)
            shutil.rmtree(path, ignore_errors=True)
            swept.append(path)
    return swept


def _prefix() -> str:
    return f"raftline-{os.getuid()}-"


def _places() -> list[Path]:
    temporary = [Path(tempfile.gettempdir()), Path("/tmp")]
    return [place for place in [SHARED_MEMORY, *temporary] if place.is_dir() and os.access(place, os.W_OK | os.X_OK)]


def _place() -> Path:
    places = [place for place in _places() if len(str(place)) + len(_prefix()) + _ROOM_FOR_NAMES < LONGEST_SOCKET_PATH]
    if not places:
        raise OSError(
            "cannot create a run directory: neither /dev/shm nor the directory for temporary files is writable; "
            "set TMPDIR to a short path that is"
        )
    roomy = [place for place in places if shutil.disk_usage(place).free > _LEAST_FREE_BYTES]
    chosen = (roomy or places)[0]
    if chosen != places[0]:
        log.warning(
            "%s is full: frames are kept in %s, which may be slower; make room there (in a container: --shm-size)",
            places[0],
            chosen,
        )
    return chosen


def run_directories() -> Iterator[Path]:
    """Every run directory of this user, in use or abandoned."""
    for place in dict.fromkeys(_places()):
        for path in place.glob(_prefix() + "*"):
            with contextlib.suppress(OSError):
                status = path.lstat()
                if status.st_uid == os.getuid() and path.is_dir() and not path.is_symlink():
                    yield path


def _is_abandoned(path: Path) -> bool:
    try:
        fd = os.open(path / LOCK_NAME, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        with contextlib.suppress(OSError):
            return time.time() - path.stat().st_mtime > _YOUNG_SECONDS
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return time.time() - path.stat().st_mtime > _UNLOCKED_SECONDS
    except OSError:
        return False
    finally:
        os.close(fd)
