"""Whether a test leaves a run directory behind, beside other tests whose directories come and go."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.runtime.run_directory import run_directories


@contextmanager
def none_left_behind() -> Iterator[None]:
    """Fails if a run directory that was made meanwhile is still there a minute later: a reaper outlives its run."""
    before = set(run_directories())
    yield
    made, deadline = set(run_directories()) - before, time.monotonic() + 60
    while left := [path for path in made if path.exists()]:
        assert time.monotonic() < deadline, f"run directories were left behind: {left}"
        time.sleep(0.05)
