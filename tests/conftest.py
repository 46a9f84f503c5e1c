"""What holds for every test: a clean environment, and nothing of ours left running."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before torch is imported: as in the workers, threads that wait must not take the cores from the other processes.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")
if "PYTEST_XDIST_WORKER" in os.environ:  # beside others, each on one core
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True, scope="session")
def clean_environment() -> Iterator[None]:
    """Settings of the person who runs the tests must not change what they see."""
    changed = pytest.MonkeyPatch()
    for name in list(os.environ):
        if name.startswith("RAFTLINE_") and name != "RAFTLINE_DATA":
            changed.delenv(name)
    changed.setenv("COLUMNS", "120")
    changed.setenv("NO_COLOR", "1")
    changed.delenv("FORCE_COLOR", raising=False)
    yield
    changed.undo()


@pytest.fixture(autouse=True, scope="session")
def nothing_left_running() -> Iterator[None]:
    """A server or worker that a test started must end with it. Looked at after all tests: a reaper ends last."""
    yield
    deadline = time.monotonic() + 60
    while left := _our_children():
        assert time.monotonic() < deadline, f"processes of ours are still running: {left}"
        time.sleep(0.05)


OURS = (
    "redis-server",
    "valkey-server",
    "pipeline.runtime.nursery_program",  # the workers, too: they are forked from it
    "pipeline/runtime/reaper_program.py",
    "run_pipeline.py",
)


def _our_children() -> list[str]:
    return [line for pid in _children(os.getpid()) if any(word in (line := _command_line(pid)) for word in OURS)]


def _children(pid: int) -> list[int]:
    """Processes below `pid`, however deep; none where there is no ``/proc``."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:  # the thread has ended
            continue
        for child in children:
            found += [int(child), *_children(int(child))]
    return found


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""
