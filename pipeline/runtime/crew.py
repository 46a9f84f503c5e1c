"""The workers of a run on this machine: started, watched, started again, and told of a new plan."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pipeline.config.plan import Plan
from pipeline.errors import WorkerFailed
from pipeline.runtime.memory_share import share_memory
from pipeline.runtime.metrics import FRAMES
from pipeline.runtime.nursery import Nursery
from pipeline.runtime.reaper import Reaper
from pipeline.runtime.run_news import PlanFile
from pipeline.runtime.worker_process import WorkerProcess
from pipeline.transport.redis_streams import RedisStreams

_LAST_SECONDS = 10.0
"""How long workers may take to end by themselves once all sources have ended; then they are killed. Chosen by hand."""


@dataclass
class _Trial:
    """A stage that runs with new options and has not shown yet that it can."""

    before: Mapping[str, Any]
    done: int
    """Messages it had processed when it began."""


class Crew:
    """The workers of all stages, and the plan that they follow."""

    def __init__(self, plan: Plan, transport: RedisStreams, nursery: Nursery, reaper: Reaper) -> None:
        self.rings = reaper.directory.path
        self.plan = share_memory(plan, self.rings)
        self._file = self.rings / "plan.json"
        self._transport = transport
        self._ended: set[str] = set()
        self._deaths: dict[WorkerProcess, int] = {}
        """Exit status of those that died and were not dealt with yet, as the server was away."""
        self._trials: dict[str, _Trial] = {}
        self.taken_back: dict[str, str] = {}
        """Stages that failed with new options and have those before again, and why; for the supervisor to tell."""
        self._declare(self.plan.sources)
        PlanFile.write(self._file, self.plan)
        self._nursery = nursery
        self._new_worker = lambda stage: WorkerProcess(stage, self._file, self.rings, nursery, reaper)
        self.workers: list[WorkerProcess] = []
        self._hire()

    def follow(self, plan: Plan) -> None:
        """Have the workers follow a plan with other sources, other options of stages, or more workers.

        Workers learn of sources by the file; those of a stage with other options are started again. Where the server
        is away, nothing has changed yet, and this may be called again.

        Raises:
            TransportLost: If the server is away.
        """
        new = {name: source for name, source in plan.sources.items() if self._is_new(name, source.life)}
        changed = {name for name, stage in plan.stages.items() if stage.given != self.plan.stages[name].given}
        changed.discard(plan.source_stage)  # its options are among those of its sources
        self._declare(new)
        for name in changed:
            self._trials.setdefault(name, _Trial(self.plan.stages[name].given, self._done(name)))
        if new:
            plan = share_memory(plan, self.rings, len(new))
            self._ended.clear()
        self.plan = plan
        PlanFile.write(self._file, plan)
        self._hire()
        self._restart(changed)

    def _hire(self) -> None:
        """Have as many workers as the plan says. Readers first: they load while the decoder opens its input."""
        for stage in reversed(self.plan.stages.values()):
            there = sum(1 for worker in self.workers if worker.stage == stage.name)
            self.workers += [self._new_worker(stage) for _ in range(there, stage.workers or 1)]

    def _is_new(self, name: str, life: int) -> bool:
        return name not in self.plan.sources or self.plan.sources[name].life != life

    def _restart(self, stages: Collection[str]) -> None:
        for worker in self.workers:
            if worker.stage in stages:
                worker.take(self.plan.stages[worker.stage])
                worker.terminate()

    def tend(self) -> None:
        """Start the workers that are due, and handle the death of others. Where the server is away, call it again.

        Raises:
            TransportLost: If the server is away.
            UserError: What a worker ended with, if it would only fail again.
            WorkerFailed: If a worker kept dying.
        """
        for worker in self.workers:
            status = worker.ended()
            if status is not None:
                self._deaths[worker] = status
            if worker in self._deaths:
                self._transport.release_worker(worker.worker, list(self.plan.sources), worker.stage)
                if not self.all_ended(worker.stage):
                    self._handle_death(worker, self._deaths[worker])
                del self._deaths[worker]
            if worker.pid is not None or not self.all_ended(worker.stage):
                worker.start_if_due()

    def wait(self, seconds: float) -> None:
        """Wait until a worker has ended, or for so long."""
        self._nursery.wait(seconds)

    def all_ended(self, stage: str) -> bool:
        """Whether a stage has ended all sources. Without any it waits for one to be added."""
        sources = self.plan.sources
        if stage in self._ended:
            return True
        ended = bool(sources) and all(self._transport.progress(source, stage).ended for source in sources)
        if ended:
            self._ended.add(stage)
        return ended

    def _handle_death(self, worker: WorkerProcess, status: int) -> None:
        """Restart a worker, or raise to end the run."""
        done, trial = self._done(worker.stage), self._trials.get(worker.stage)
        if status == 0 or worker.outdated:
            if trial is not None:
                trial.done = done
            worker.restart_later(progressed=True)
            return
        why, final = worker.report(status)
        if trial is not None and self._failed(trial, worker, done, status):
            self._take_back(worker, trial, why)
            return
        if final is not None:
            raise final(why if why.startswith("stage ") else f"stage {worker.stage!r}: {why}")
        worker.restart_later(progressed=done > worker.done_before)
        worker.done_before = done
        if worker.futile > self.plan.limits.restarts:
            raise WorkerFailed(
                f"stage {worker.stage!r} ({self.plan.stages[worker.stage].use}) died {worker.futile} times in a row "
                f"without processing anything; the last time: {why}"
            )

    def _done(self, stage: str) -> int:
        return sum(self._transport.counters(source, stage).get(FRAMES, 0) for source in self.plan.sources)

    def _failed(self, trial: _Trial, worker: WorkerProcess, done: int, status: int) -> bool:
        """Whether a death is the fault of new options. One by a signal may be another's: a second one is not."""
        if done > trial.done:
            del self._trials[worker.stage]
            return False
        return status > 0 or worker.futile > 0

    def _take_back(self, worker: WorkerProcess, trial: _Trial, why: str) -> None:
        del self._trials[worker.stage]
        self.taken_back[worker.stage] = why
        stage = replace(self.plan.stages[worker.stage], given=trial.before)
        self.plan = replace(self.plan, stages={**self.plan.stages, worker.stage: stage})
        PlanFile.write(self._file, self.plan)
        worker.restart_later(progressed=True)
        self._restart({worker.stage})

    def end_sources(self) -> None:
        """Let the sources end; what is in flight is finished."""
        self._terminate({self.plan.source_stage})

    def let_end(self) -> None:
        """Wait until all workers have ended by themselves, for some seconds."""
        if not self.plan.sources:  # they wait for one to be added
            self._terminate(self.plan.stages)
        deadline = time.monotonic() + _LAST_SECONDS
        while any(worker.pid is not None for worker in self.workers) and time.monotonic() < deadline:
            for worker in self.workers:
                worker.ended()
            time.sleep(0.01)

    def kill(self) -> None:
        """End all of them now."""
        for worker in self.workers:
            worker.kill()

    @property
    def idle(self) -> bool:
        """Whether none of them runs."""
        return all(worker.pid is None for worker in self.workers)

    @property
    def pids(self) -> dict[str, list[int]]:
        """Process ids of the running workers, by stage."""
        running = [worker for worker in self.workers if worker.pid is not None]
        return {each.stage: [w.pid for w in running if w.pid and w.stage == each.stage] for each in running}

    def restarts(self, stage: str) -> int:
        return sum(worker.restarts for worker in self.workers if worker.stage == stage)

    def cpu_seconds(self, stage: str) -> float:
        return sum(worker.cpu_seconds for worker in self.workers if worker.stage == stage)

    def resident_bytes(self, stage: str) -> int:
        return sum(worker.resident_bytes() or 0 for worker in self.workers if worker.stage == stage)

    def _terminate(self, stages: Collection[str]) -> None:
        for worker in self.workers:
            if worker.stage in stages:
                worker.terminate()

    def _declare(self, sources: Collection[str]) -> None:
        for source in sources:
            for stage in self.plan.stages.values():
                self._transport.declare(source, stage.name, stage.readers)
