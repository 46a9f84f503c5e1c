"""A worker's process, seen from the supervisor: started, watched, started again."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from pipeline.runtime.reaper import Reaper
from pipeline.runtime.worker import worker_name

_LONGEST_DELAY_SECONDS = 10.0
_ROOT = Path(__file__).resolve().parents[2]
_PROGRAM = """
import sys
root = sys.argv.pop(1)
sys.path[:1] = [] if root in sys.path else [root]
from pipeline.runtime.worker import main
sys.exit(main())
"""
"""Not ``-m``, which looks into the current directory first: a folder `pipeline` there would be taken for ours."""


class WorkerProcess:
    """One of the workers of a stage, through all its lives."""

    def __init__(self, stage: str, plan_file: Path, rings: Path, reaper: Reaper) -> None:
        self.stage = stage
        self.restarts = 0
        """Lives after the first."""
        self.futile = 0
        """Deaths in a row without a message processed in between."""
        self.done_before = 0
        """Messages its stage had processed when it last died."""
        self.worker = ""
        self._plan_file = plan_file
        self._rings = rings
        self._reaper = reaper
        self._process: subprocess.Popen[bytes] | None = None
        self._start_at = 0.0
        self._told = False

    @property
    def pid(self) -> int | None:
        """None while it does not run."""
        return self._process.pid if self._process is not None else None

    def start_if_due(self) -> None:
        """Start it unless it runs or its delay is not over."""
        if self._process is not None or time.monotonic() < self._start_at:
            return
        self.worker = worker_name()
        self._told = False
        # A SIGTERM that comes before the worker has its handler must wait for it, not kill it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            self._process = self._spawn()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._reaper.watch(self._process.pid)

    def _spawn(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(_ROOT), str(self._plan_file), "--stage", self.stage]
            + ["--worker", self.worker, "--rings", str(self._rings)],
            stdin=subprocess.DEVNULL,
            env=_environment(),
            start_new_session=True,  # Ctrl-C goes to the supervisor, which drains
        )

    def ended(self) -> int | None:
        """The exit status, once, when it has just ended; negative for a signal."""
        if self._process is None or self._process.poll() is None:
            return None
        self._reaper.forget(self._process.pid)
        status, self._process = self._process.returncode, None
        return status

    def restart_later(self, progressed: bool) -> None:
        """Let `start_if_due` start it again, after a delay that grows with the deaths in a row."""
        self.futile = 0 if progressed else self.futile + 1
        self.restarts += 1
        delay_seconds = min(_LONGEST_DELAY_SECONDS, 0.1 * 2**self.futile)
        self._start_at = time.monotonic() + delay_seconds * random.uniform(0.5, 1.0)

    def report(self, status: int) -> tuple[str, bool]:
        """Why it ended with `status`, and whether starting it again is pointless."""
        file = self._plan_file.parent / f"{self.worker}.error"
        if file.exists():
            told = json.loads(file.read_text())
            return told["error"], bool(told["final"])
        if status < 0:
            return f"killed by {signal.Signals(-status).name}", False
        return f"ended with status {status}", False

    def terminate(self) -> None:
        """Ask it to finish; once in each of its lives."""
        if self._process is not None and not self._told:
            self._process.terminate()
            self._told = True

    def kill(self) -> None:
        """End it now and wait for that."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self.ended()


def _environment() -> dict[str, str]:
    # Stages share the cores: threads that spin for long while they wait for each other take them from the rest.
    # Measured with RAFT-small on two cores: a short spin is as fast as the default's long one when alone, and about six
    # times faster beside busy neighbours.
    return {"GOMP_SPINCOUNT": "2000", **os.environ}
