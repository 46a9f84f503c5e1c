"""What a pipeline leaves nothing behind with: its run directory, and a process that outlives it by a moment.

A run directory (only its user can enter it) holds the private server's socket and the rings of shared memory. It lies
in ``/dev/shm`` where that is there and large enough, else in the directory for temporary files.

The reaper is a process that waits at a pipe. When its owner ends, in whatever way, the pipe breaks; the reaper then
kills what the owner had reported and removes the directory. Should both be killed at once, the next pipeline of
the same user sweeps up. Start workers with `subprocess` or spawn, never by fork: a fork holds the pipe open.

This file is also the reaper's program and therefore imports nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
LOCK_NAME = "lock"
READY = b"ready\n"
LONGEST_SOCKET_PATH = 100
"""Bytes; sockaddr_un holds 108 on Linux and 104 elsewhere."""
YOUNG_SECONDS = 60.0
"""A directory without a lock may be one that is being made."""

log = logging.getLogger(__name__)


class RunDirectory:
    """A directory of this pipeline's own, held by a lock for as long as its maker or its reaper lives."""

    def __init__(self, path: Path, lock_fd: int) -> None:
        self.path = path
        self.lock_fd = lock_fd

    @classmethod
    def create(cls, needed_bytes: int = 0) -> RunDirectory:
        """Sweep up what killed pipelines of this user left, and make a new directory with mode 0700.

        `needed_bytes` is what will be put into shared memory. Where ``/dev/shm`` has less room, the directory for
        temporary files is taken and that is logged. Raises `OSError` where neither can be written.
        """
        sweep()
        place = _place(needed_bytes)
        path = Path(tempfile.mkdtemp(prefix=_prefix(), dir=place))
        lock_fd = os.open(path / LOCK_NAME, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock_fd, fcntl.LOCK_EX)
        return cls(path, lock_fd)

    def remove(self) -> None:
        """Remove the directory with all that is in it, and let the lock go."""
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.close(self.lock_fd)


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
        """Start the reaper of `directory`, in a session of its own, so that Ctrl-C does not reach it.

        Raises `OSError` if it does not start.
        """
        command = [sys.executable, "-I", "-S", __file__, str(directory.path)]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=(directory.lock_fd,),
            cwd="/",
        )
        assert process.stdout is not None
        with process.stdout as said:
            if said.readline() != READY:
                process.kill()
                raise OSError(f"the reaper process did not start (status {process.wait()})")
        return cls(directory, process)

    def watch(self, pid: int) -> None:
        """Kill the process `pid`, and its group if it leads one, should this process end first."""
        self._say(f"pid {pid}\n")

    def forget(self, pid: int) -> None:
        """`pid` has ended and was waited for: its number may be another's soon."""
        self._say(f"done {pid}\n")

    def close(self) -> None:
        """Normal end: kills what is still watched, removes the directory, and waits until that is done."""
        with self._lock, contextlib.suppress(OSError):
            self._pipe.close()
        if self._process.returncode is not None:
            return
        try:
            self._process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.directory.remove()

    def _say(self, line: str) -> None:
        with self._lock:
            try:
                self._pipe.write(line.encode())
                self._pipe.flush()
            except (OSError, ValueError):
                log.warning("the reaper process %d is gone: if this pipeline is killed, its workers stay", self.pid)


def sweep() -> list[Path]:
    """Kill and remove what pipelines of this user left that were killed together with their reaper."""
    swept = []
    for path in _run_directories():
        if _is_abandoned(path):
            for pid in _server_pids(path):
                _kill(pid)
            shutil.rmtree(path, ignore_errors=True)
            swept.append(path)
    return swept


def _prefix() -> str:
    return f"raftline-{os.getuid()}-"


def _places() -> list[Path]:
    temporary = [Path(tempfile.gettempdir()), Path("/tmp")]
    return [place for place in [SHARED_MEMORY, *temporary] if place.is_dir() and os.access(place, os.W_OK | os.X_OK)]


def _place(needed_bytes: int) -> Path:
    places = [place for place in _places() if len(str(place)) + len(_prefix()) + 30 < LONGEST_SOCKET_PATH]
    if not places:
        raise OSError("no directory for a run: neither /dev/shm nor the directory for temporary files can be written")
    roomy = [place for place in places if shutil.disk_usage(place).free > needed_bytes]
    chosen = (roomy or places)[0]
    if chosen != places[0]:
        free_mb = shutil.disk_usage(places[0]).free >> 20
        log.warning(
            "%s has %d MB free, %d MB are needed: frames lie in %s, which may be slower "
            "(in a container, give it more with --shm-size)",
            places[0],
            free_mb,
            needed_bytes >> 20,
            chosen,
        )
    return chosen


def _run_directories() -> Iterator[Path]:
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
            return time.time() - path.stat().st_mtime > YOUNG_SECONDS
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return time.time() - path.stat().st_mtime > 1.0  # its maker may not have taken the lock yet
    except OSError:
        return False
    finally:
        os.close(fd)


def _server_pids(directory: Path) -> list[int]:
    """Servers that wrote a pid file into `directory` and carry its path on their command line."""
    pids = []
    for file in directory.glob("*.pid"):
        with contextlib.suppress(OSError, ValueError):
            pid = int(file.read_text().strip())
            if os.fsencode(directory) in Path(f"/proc/{pid}/cmdline").read_bytes():
                pids.append(pid)
    return pids


def _started(pid: int) -> str:
    """When the living process `pid` was started, to tell it from a later one of that number; empty if it is dead."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return ""


def _kill(pid: int) -> None:
    with contextlib.suppress(OSError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)


def _guard(directory: Path) -> None:
    """The reaper's program: note what the owner reports until the pipe ends, then kill and remove."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    sys.stdout.buffer.write(READY)
    sys.stdout.flush()
    watched: dict[int, str] = {}
    for line in sys.stdin:
        word, _, number = line.strip().partition(" ")
        if word == "pid" and number.isdigit():
            watched[int(number)] = _started(int(number))
        elif word == "done" and number.isdigit():
            watched.pop(int(number), None)
    for _ in range(20):  # a server that was being started writes its pid file a moment later
        left = [pid for pid, started in watched.items() if started and _started(pid) == started]
        left += _server_pids(directory)
        for pid in left:
            _kill(pid)
        shutil.rmtree(directory, ignore_errors=True)
        if not left and not directory.exists():
            break
        time.sleep(0.05)


if __name__ == "__main__":
    _guard(Path(sys.argv[1]))
