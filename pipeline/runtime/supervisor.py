"""The supervisor of a run: starts the workers, watches and restarts them, drains, stops, and cleans up."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from pipeline.config.plan import Plan
from pipeline.errors import RaftlineError, RunTaken, TransportError, TransportLost, WorkerFailed
from pipeline.runtime.cores import share_cores
from pipeline.runtime.memory_share import share_memory
from pipeline.runtime.metrics import FRAMES
from pipeline.runtime.nursery import Nursery
from pipeline.runtime.output_lock import this_process
from pipeline.runtime.reaper import Reaper
from pipeline.runtime.run_directory import RunDirectory
from pipeline.runtime.run_lock import RunLock
from pipeline.runtime.run_status import tell
from pipeline.runtime.stop_signals import on_stop_signals
from pipeline.runtime.summary import remove_unfinished, run_state, summarize_run, summarize_source, write_summary
from pipeline.runtime.worker_process import WorkerProcess
from pipeline.transport.redis_server import PrivateServer
from pipeline.transport.redis_streams import RedisStreams

_POLL_SECONDS = 0.05
"""Between looks at the workers. Chosen by hand: below what a user notices, and cheap (a `waitpid` per worker)."""
_STATUS_SECONDS = 0.5
"""Between two states of the progress display: often enough to look alive, with some reads of Redis each."""
_PATIENCE_SECONDS = 30.0
"""How long Redis may be unreachable before the run ends. Chosen by hand: longer than a server's restart."""
_LAST_SECONDS = 10.0
"""How long workers may take to end by themselves once all sources have ended; then they are killed. Chosen by hand."""

Status = dict[str, Any]


class Supervisor:
    """Runs a plan on this machine until all sources have ended."""

    def __init__(
        self,
        plan: Plan,
        *,
        nursery: Nursery | None = None,
        server: PrivateServer | None = None,
        on_status: Callable[[Status], None] | None = None,
        summary_name: str = "summary.json",
    ) -> None:
        """Prepare a run.

        Args:
            plan: What to run.
            nursery: Where its workers are born, one that has been started early. None: start one, and close it.
            server: The private server to use if the plan names none. None: start one, and stop it.
            on_status: Called with the summary so far, about twice a second.
            summary_name: Name of the summary's file in the output directory.
        """
        self._plan = replace(share_cores(plan), run=this_process())
        self._nursery = nursery
        self._private = server
        self._on_status = on_status or (lambda status: None)
        self._summary_name = summary_name
        self._started = datetime.now(timezone.utc)
        self._begin = time.monotonic()
        self._draining = False
        self._abort = threading.Event()
        self._workers: list[WorkerProcess] = []
        self._ended: set[str] = set()
        self._sources: Status = {}

    def run(self) -> Status:
        """Run until every source has ended or a signal arrives, and write the summary to the output directory.

        SIGINT and SIGTERM drain the pipeline: sources end, everything in flight is processed, outputs are complete. A
        second SIGINT stops at once. A source that fails does not stop the others; the summary says so.

        Returns:
            The summary.

        Raises:
            UserError: If the user has to fix something.
            WorkerFailed: If a worker kept dying.
            KeyboardInterrupt: On a second SIGINT.
        """
        with contextlib.ExitStack() as stack:
            nursery = self._nursery or stack.enter_context(Nursery.for_plan(self._plan))
            reaper = stack.enter_context(contextlib.closing(Reaper.start(RunDirectory.create())))
            stack.enter_context(on_stop_signals(self._on_signal))
            plan = stack.enter_context(self._server(reaper))
            transport = stack.enter_context(contextlib.closing(self._connect(plan)))
            nursery.wait_until_loaded()  # before the lock, whose lease must be renewed
            return self._run(plan, transport, nursery, reaper)

    def drain(self) -> None:
        """End the sources and finish everything in flight."""
        self._draining = True

    def abort(self) -> None:
        """Stop at once."""
        self._abort.set()

    @property
    def worker_pids(self) -> dict[str, list[int]]:
        """Process ids of the running workers, by stage."""
        running = [worker for worker in self._workers if worker.pid is not None]
        return {each.stage: [w.pid for w in running if w.pid and w.stage == each.stage] for each in running}

    def _run(self, plan: Plan, transport: RedisStreams, nursery: Nursery, reaper: Reaper) -> Status:
        with RunLock(transport) as lock:
            transport.reset()
            lock.mark()
            for source in plan.sources:
                for stage in plan.stages.values():
                    transport.declare(source, stage.name, stage.readers)
            self._workers = self._make_workers(plan, nursery, reaper)
            error: BaseException | None = None
            try:
                self._watch(plan, transport, lock)
            except BaseException as caught:
                error = caught
                raise
            finally:
                for worker in self._workers:
                    worker.kill()
                summary = self._conclude(plan, transport, error)
                if not isinstance(error, TransportError):  # otherwise the server is gone
                    transport.reset()
        return summary

    def _connect(self, plan: Plan) -> RedisStreams:
        assert plan.redis_url is not None
        return RedisStreams(plan.redis_url, plan.name)

    @contextlib.contextmanager
    def _server(self, reaper: Reaper) -> Iterator[Plan]:
        if self._plan.redis_url is not None:
            self._private = None
            yield self._plan
            return
        started = None
        if self._private is None:
            started = self._private = PrivateServer.start(self._plan.redis_memory_mb, reaper)
        try:
            yield replace(self._plan, redis_url=self._private.url)
        finally:
            if started is not None:
                started.stop()

    def _make_workers(self, plan: Plan, nursery: Nursery, reaper: Reaper) -> list[WorkerProcess]:
        rings = reaper.directory.path
        file = rings / "plan.json"
        file.touch(mode=0o600)
        file.write_text(share_memory(plan, rings).to_json())
        # Readers first: they load while the decoder opens its input.
        stages = [stage for stage in reversed(plan.stages.values()) for _ in range(stage.workers or 1)]
        return [WorkerProcess(stage, file, rings, nursery, reaper) for stage in stages]

    def _watch(self, plan: Plan, transport: RedisStreams, lock: RunLock) -> None:
        next_status, unreachable_since = 0.0, None
        while True:
            if self._abort.is_set():
                raise KeyboardInterrupt
            self._check_server()
            if self._draining:
                self._end_sources(plan)
            try:
                self._tend_workers(plan, transport)
                if time.monotonic() >= next_status or all(worker.pid is None for worker in self._workers):
                    next_status = time.monotonic() + _STATUS_SECONDS
                    lock.keep(plan)
                    if self._refresh(plan, transport):
                        self._let_workers_end()
                        return
                unreachable_since = None
            except TransportLost:
                unreachable_since = unreachable_since or time.monotonic()
                if time.monotonic() - unreachable_since > _PATIENCE_SECONDS:
                    raise
            time.sleep(_POLL_SECONDS)

    def _refresh(self, plan: Plan, transport: RedisStreams) -> bool:
        """Update and report the status. Returns whether every source has ended."""
        self._sources = {source: summarize_source(plan, transport, source) for source in plan.sources}
        self._on_status(tell(transport, self._summary("running", None)))
        return all(source["state"] != "running" for source in self._sources.values())

    def _tend_workers(self, plan: Plan, transport: RedisStreams) -> None:
        for worker in self._workers:
            status = worker.ended()
            if status is not None:
                transport.release_worker(worker.worker, list(plan.sources), worker.stage)
                if self._all_ended(plan, transport, worker.stage):
                    continue
                self._handle_death(plan, transport, worker, status)
            elif worker.pid is None and self._all_ended(plan, transport, worker.stage):
                continue
            worker.start_if_due()

    def _handle_death(self, plan: Plan, transport: RedisStreams, worker: WorkerProcess, status: int) -> None:
        """Handle the death of a worker: restart it, or raise to end the run."""
        if status == 0:
            worker.restart_later(progressed=True)
            return
        why, final = worker.report(status)
        if final is not None:
            raise final(why if why.startswith("stage ") else f"stage {worker.stage!r}: {why}")
        done = sum(transport.counters(source, worker.stage).get(FRAMES, 0) for source in plan.sources)
        worker.restart_later(progressed=done > worker.done_before)
        worker.done_before = done
        if worker.futile > plan.limits.restarts:
            raise WorkerFailed(
                f"stage {worker.stage!r} ({plan.stages[worker.stage].use}) died {worker.futile} times in a row without "
                f"processing anything; the last time: {why}"
            )

    def _all_ended(self, plan: Plan, transport: RedisStreams, stage: str) -> bool:
        if stage not in self._ended and all(transport.progress(source, stage).ended for source in plan.sources):
            self._ended.add(stage)
        return stage in self._ended

    def _end_sources(self, plan: Plan) -> None:
        for worker in self._workers:
            if worker.stage == plan.source_stage:
                worker.terminate()

    def _let_workers_end(self) -> None:
        deadline = time.monotonic() + _LAST_SECONDS
        while any(worker.pid is not None for worker in self._workers) and time.monotonic() < deadline:
            for worker in self._workers:
                worker.ended()
            time.sleep(0.01)

    def _check_server(self) -> None:
        if self._private is not None and not self._private.alive():
            raise TransportError(f"the private Redis server ended: {self._private.last_words() or 'it was killed'}")

    def _conclude(self, plan: Plan, transport: RedisStreams, error: BaseException | None) -> Status:
        letters: list[dict[str, str]] = []
        if not isinstance(error, RunTaken):  # otherwise what the server holds is the other run's
            with contextlib.suppress(TransportError):
                letters = self._collect(plan, transport)
        summary = self._summary(run_state(self._sources, error), error)
        summary["dead_letters"] = letters
        try:
            write_summary(plan.output / self._summary_name, summary)
        except RaftlineError:
            if error is None:
                raise
        return summary

    def _collect(self, plan: Plan, transport: RedisStreams) -> list[dict[str, str]]:
        """Remove unfinished outputs and take down how far the sources got. Returns the dead letters."""
        remove_unfinished(plan, transport)
        self._sources = {source: summarize_source(plan, transport, source) for source in plan.sources}
        return [
            {"stage": stage, "source": source, "error": why}
            for stage in plan.stages
            for source, why in transport.dead_letters(stage)
        ]

    def _summary(self, state: str, error: BaseException | None) -> Status:
        for source in self._sources.values():
            for name, stage in source["stages"].items():
                stage["restarts"] = sum(worker.restarts for worker in self._workers if worker.stage == name)
        seconds = time.monotonic() - self._begin
        summary = summarize_run(self._plan, self._started, seconds, state, error, self._sources)
        for name, work in summary["workers"].items():
            workers = [worker for worker in self._workers if worker.stage == name]
            work["cpu_seconds"] = round(sum(worker.cpu_seconds for worker in workers), 3)
            work["memory_mb"] = round(sum(worker.resident_bytes() or 0 for worker in workers) / 1e6, 1)
        return summary

    def _on_signal(self, number: int) -> None:
        if self._draining and number == signal.SIGINT:
            self.abort()
        self.drain()
