"""Whole commands, timed as a user has them: wall clock and CPU, children included."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

_PR_SET_CHILD_SUBREAPER = 36
"""Of linux/prctl.h."""
_LAST_SECONDS = 10.0
"""For what a command leaves behind to end. Chosen by hand."""
RAFT = ("--set", "stages.flow.options.estimator=raft")


@dataclass(frozen=True)
class Run:
    """One command that has ended."""

    wall_seconds: float
    cpu_seconds: float
    summary: dict[str, Any] = field(default_factory=dict)
    """Of a pipeline's run."""

    @property
    def wall_over_cpu(self) -> float:
        """Wall time over the CPU time of all stages on all cores: 1 if no core ever waited, and nothing else ran."""
        return self.wall_seconds * self.summary["cores"] / self.cpu_seconds

    def to_json(self) -> dict[str, float]:
        return {"wall_s": round(self.wall_seconds, 2), "cpu_s": round(self.cpu_seconds, 2)}


def timed(*commands: Sequence[Any], may_fail: bool = False) -> Run:
    """Run commands one after the other, as one. RuntimeError with what one said if it fails."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    others = set(psutil.Process().children())
    before, begin = _cpu_seconds(), time.monotonic()
    for command in commands:
        words = [str(part) for part in command]
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=users_environment())
        if done.returncode and not may_fail:
            raise RuntimeError(f"{' '.join(map(str, command))} ended with status {done.returncode}:\n{done.stderr}")
    seconds = time.monotonic() - begin
    _wait_for_orphans(others)
    return Run(seconds, _cpu_seconds() - before)


def _wait_for_orphans(others: set[psutil.Process]) -> None:
    """Wait for workers that were told to end and whose parent did not wait: only then their CPU time counts."""
    end = time.monotonic() + _LAST_SECONDS
    while (left := set(psutil.Process().children()) - others) and time.monotonic() < end:
        for process in left:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process.pid, os.WNOHANG)
        time.sleep(0.01)


def users_environment() -> dict[str, str]:
    """This one, but Python keeps what it compiles, as it does unless it is told otherwise."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def raftline(*arguments: Any) -> list[Any]:
    """The command line of this checkout."""
    return [Path(sys.executable).parent / "raftline", *arguments]


def pipeline(output: Path, config: Any, *arguments: Any) -> Run:
    """``raftline run CONFIG``, to its end."""
    run = timed(raftline("run", config, "-o", output, *arguments))
    return Run(run.wall_seconds, run.cpu_seconds, json.loads((output / "summary.json").read_text()))


def written(path: Path, stages: dict[str, Any], sources: dict[str, Any]) -> Path:
    """A configuration."""
    path.write_text(yaml.safe_dump({"name": "bench", "stages": stages, "sources": sources}))
    return path


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
