"""Whether a test leaves a run directory behind, beside other tests whose directories come and go."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.runtime.run_directory import LOCK_NAME, run_directories
from pipeline.runtime.run_status import active_runs


@contextmanager
def none_left_behind(folder: Path) -> Iterator[None]:
    """Fails if a run directory that was made meanwhile is there a minute later: a reaper outlives its run.

    Args:
        folder: Runs that write into it are the test's own. Of others a directory counts once nobody holds it: a server
            that another test began meanwhile may stay for long.
    """
    before = set(run_directories())
    yield
    made, deadline = set(run_directories()) - before, time.monotonic() + 60
    while left := [path for path in made if path.exists() and (_is_abandoned(path) or path in _of_runs_into(folder))]:
        assert time.monotonic() < deadline, f"run directories were left behind: {left}"
        time.sleep(0.05)


def _of_runs_into(folder: Path) -> list[Path | None]:
    return [run.directory for run in active_runs() if run.output is not None and run.output.is_relative_to(folder)]


def abandoned_run_directories() -> list[Path]:
    """Those of this user that no living pipeline holds."""
    return [path for path in run_directories() if _is_abandoned(path)]


def _is_abandoned(path: Path) -> bool:
    with contextlib.suppress(OSError), open(path / LOCK_NAME) as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
