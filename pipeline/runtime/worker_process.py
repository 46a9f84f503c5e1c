"""A worker's process, seen from the supervisor: started, watched, started again."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from dataclasses import asdict
from pathlib import Path

from pipeline.config.plan import StagePlan
from pipeline.errors import UserError
from pipeline.runtime.cores import thread_environment
from pipeline.runtime.mistakes import FINAL_ERRORS
from pipeline.runtime.nursery import Nursery
from pipeline.runtime.reaper import Reaper
from pipeline.runtime.worker_program import worker_name

_LONGEST_DELAY_SECONDS = 10.0


class WorkerProcess:
    """One of the workers of a stage, through all its lives."""

    def __init__(self, stage: StagePlan, plan_file: Path, rings: Path, nursery: Nursery, reaper: Reaper) -> None:
        self.stage = stage.name
        self.restarts = 0
        """Lives after the first."""
        self.futile = 0
        """Deaths in a row without a message processed in between."""
        self.done_before = 0
        """Messages its stage had processed when it last died."""
        self.worker = ""
        self._cpu_seconds = 0.0
        self.pid: int | None = None
        """None while it does not run."""
        self.outdated = False
        """Whether its stage has other options than this life has: how it ends says nothing of them."""
        self._environment = thread_environment(stage.threads or 1)
        self.take(stage)
        self._plan_file = plan_file
        self._rings = rings
        self._nursery = nursery
        self._reaper = reaper
        self._start_at = 0.0
        self._told = False

    def take(self, stage: StagePlan) -> None:
        """Have other options of its stage from its next life on."""
        self.outdated = self.pid is not None
        alike = (stage.name, stage.use, stage.given, sorted(stage.needs), asdict(stage.demand), self._environment)
        self._kind = json.dumps(alike, default=str, sort_keys=True)

    def start_if_due(self) -> None:
        """Start it unless it runs or its delay is not over."""
        if self.pid is not None or time.monotonic() < self._start_at:
            return
        self.worker = worker_name()
        self._told = self.outdated = False
        arguments = [str(self._plan_file), "--stage", self.stage, "--worker", self.worker, "--rings", str(self._rings)]
        self.pid = self._nursery.bear(arguments, self._environment, self._kind)
        self._reaper.watch(self.pid)

    def resident_bytes(self) -> int | None:
        """Memory that it holds, also what it shares with other workers; None while it does not run, or off Linux."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return None

    def ended(self, wait: bool = False) -> int | None:
        """The exit status, once, when it has just ended; negative for a signal."""
        end = None if self.pid is None else self._nursery.ended(self.pid, wait)
        if self.pid is None or end is None:
            return None
        self._reaper.forget(self.pid)
        self.pid = None
        self._cpu_seconds += end.cpu_seconds
        return end.status

    @property
    def cpu_seconds(self) -> float:
        """Used by all its lives, user and system; where there is no ``/proc``, by those that have ended."""
        return self._cpu_seconds + (0.0 if self.pid is None else _cpu_seconds_of(self.pid))

    def restart_later(self, progressed: bool) -> None:
        """Let `start_if_due` start it again, after a delay that grows with the deaths in a row."""
        self.futile = 0 if progressed else self.futile + 1
        self.restarts += 1
        delay_seconds = min(_LONGEST_DELAY_SECONDS, 0.1 * 2**self.futile)
        self._start_at = time.monotonic() + delay_seconds * random.uniform(0.5, 1.0)

    def report(self, status: int) -> tuple[str, type[UserError] | None]:
        """Why it ended with `status`, and the error to end the run with if starting it again is pointless."""
        file = self._plan_file.parent / f"{self.worker}.error"
        if file.exists():
            told = json.loads(file.read_text())
            final = {kind.__name__: kind for kind in FINAL_ERRORS}.get(told["final"])
            return told["error"], final
        if status < 0:
            return f"killed by {signal.Signals(-status).name}", None
        return f"ended with status {status}", None

    def terminate(self) -> None:
        """Ask it to finish; once in each of its lives."""
        if self.pid is not None and not self._told:
            self._send(signal.SIGTERM)
            self._told = True

    def kill(self) -> None:
        """End it now and wait for that."""
        if self.pid is not None and self.ended() is None:
            self._send(signal.SIGKILL)
            self.ended(wait=True)

    def _send(self, number: signal.Signals) -> None:
        assert self.pid is not None
        with contextlib.suppress(ProcessLookupError):  # it has just ended, and nobody has looked yet
            os.kill(self.pid, number)


def _cpu_seconds_of(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
