"""The reaper's program: wait until the owner's pipe closes, then kill what it left and remove its run directory.

`pipeline.runtime.reaper` runs this file with ``python -I -S FILE DIRECTORY ...``, which starts within milliseconds but
finds no installed package: import nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path

READY = b"ready\n"
"""Printed once signals are ignored. The owner waits for it."""
_ROUNDS, _PAUSE_SECONDS = 20, 0.05
"""A server that was just being started writes its pid file a moment later: look again for one second."""


def server_pids(directory: Path) -> list[int]:
    """Process ids of servers that wrote a pid file into `directory` and have its path on their command line."""
    pids = []
    for file in directory.glob("*.pid"):
        with contextlib.suppress(OSError, ValueError):
            pid = int(file.read_text().strip())
            if os.fsencode(directory) in Path(f"/proc/{pid}/cmdline").read_bytes():
                pids.append(pid)
    return pids


def _started(pid: int) -> str:
    """Start time of process `pid`, which tells it from a later process with the same number; empty if it is dead."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return ""


def kill(pid: int) -> None:
    """Kill a process, and its group if it leads one. No error if it is gone."""
    with contextlib.suppress(OSError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)


def main(directories: list[Path]) -> None:
    """Note which processes the owner reports until the pipe closes, then kill those left and remove `directories`."""
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
    for _ in range(_ROUNDS):
        left = [pid for pid, started in watched.items() if started and _started(pid) == started]
        left += [pid for directory in directories for pid in server_pids(directory)]
        for pid in left:
            kill(pid)
        for directory in directories:
            shutil.rmtree(directory, ignore_errors=True)
        if not left and not any(directory.exists() for directory in directories):
            break
        time.sleep(_PAUSE_SECONDS)


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
