"""The supervisor of a run: starts the workers, watches and restarts them, drains, stops, and cleans up."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pipeline.config.live import LiveConfig
from pipeline.config.plan import Plan
from pipeline.errors import RaftlineError, RunTaken, ServerEnded, StopOverdue, TransportError, TransportLost
from pipeline.runtime.cores import share_cores
from pipeline.runtime.crew import Crew
from pipeline.runtime.nursery import Nursery
from pipeline.runtime.outage import Outage, patiently
from pipeline.runtime.output_lock import this_process
from pipeline.runtime.reaper import Reaper
from pipeline.runtime.run_changes import RunChanges
from pipeline.runtime.run_directory import RunDirectory
from pipeline.runtime.run_lock import RunLock
from pipeline.runtime.run_status import ActiveRun, tell
from pipeline.runtime.stop_deadline import StopDeadline
from pipeline.runtime.stop_signals import on_stop_signals
from pipeline.runtime.summary import (
    AT_WORK,
    remove_unfinished,
    run_state,
    summarize_run,
    summarize_sources,
    write_summary,
)
from pipeline.runtime.watchdog import Watchdog
from pipeline.transport.redis_server import PrivateServer
from pipeline.transport.redis_streams import RedisStreams

_POLL_SECONDS = 0.05
"""Between looks at the workers while none ends. Chosen by hand: below what a user notices, and cheap."""
_STATUS_SECONDS = 0.5
"""Between two states of the progress display: often enough to look alive, with some reads of Redis each."""
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
        live: LiveConfig | None = None,
        until_stopped: bool = False,
    ) -> None:
        """Prepare a run.

        Args:
            plan: What to run.
            nursery: Where its workers are born, one that has been started early. None: start one, and close it.
            server: The private server to use if the plan names none. None: start one, and stop it.
            on_status: Called with the summary so far, about twice a second.
            summary_name: Name of the summary's file in the output directory.
            live: The configuration that the plan was made of, where it may change while the run goes on.
            until_stopped: Go on when every source has ended: others may be added.
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
        self._live, self._until_stopped = live, until_stopped
        self._crew: Crew | None = None
        self._changes: RunChanges | None = None
        self._sources: Status = {}
        self._deadline = StopDeadline(plan.limits.stop_seconds, self._unfinished)

    def run(self) -> Status:
        """Run until every source has ended or a signal arrives, and write the summary to the output directory.

        SIGINT and SIGTERM drain the pipeline: sources end, everything in flight is processed, outputs are complete. A
        second SIGINT stops at once, and SIGTERM gives up what is not finished after `limits.stop_seconds`. A source
        that fails does not stop the others; the summary says so.

        Returns:
            The summary.

        Raises:
            UserError: If the user has to fix something.
            WorkerFailed: If a worker kept dying.
            StopOverdue: If not everything was finished in time after SIGTERM.
            KeyboardInterrupt: On a second SIGINT.
        """
        with contextlib.ExitStack() as stack:
            nursery = self._nursery or stack.enter_context(Nursery.for_plan(self._plan))
            stack.callback(self._deadline.end)
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
    def active(self) -> ActiveRun | None:
        """This run, as others find it; None until it has begun."""
        if self._crew is None:
            return None
        plan = self._crew.plan
        return ActiveRun(plan.name, plan.redis_url or "", self._crew.rings, plan.output, Path(plan.file))

    @property
    def draining(self) -> bool:
        """Whether it was told to end its sources."""
        return self._draining

    @property
    def worker_pids(self) -> dict[str, list[int]]:
        """Process ids of the running workers, by stage."""
        return {} if self._crew is None else self._crew.pids

    def _run(self, plan: Plan, transport: RedisStreams, nursery: Nursery, reaper: Reaper) -> Status:
        outage = Outage(f"run {plan.name}")
        with contextlib.ExitStack() as locked:
            lock = RunLock(transport)
            patiently(outage, lambda: locked.enter_context(lock))

            def hired() -> Crew:
                transport.reset()
                lock.mark()
                return Crew(plan, transport, nursery, reaper)

            crew = self._crew = patiently(outage, hired)
            self._changes, self._watchdog = RunChanges(crew, transport, self._live), Watchdog(transport)
            error: BaseException | None = None
            try:
                self._watch(crew, transport, lock, outage)
            except BaseException as caught:
                error = caught
                raise
            finally:
                crew.kill()
                summary = self._conclude(crew, transport, error, outage)
                if error is None:
                    patiently(outage, transport.reset)
                elif not isinstance(error, TransportError):  # otherwise the server is gone
                    with contextlib.suppress(StopOverdue, TransportError):
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

    def _watch(self, crew: Crew, transport: RedisStreams, lock: RunLock, outage: Outage) -> None:
        next_status = 0.0
        while True:
            if self._abort.is_set():
                raise KeyboardInterrupt
            self._check_server()
            if self._draining:
                crew.end_sources()
            try:
                crew.tend()
                if time.monotonic() >= next_status or crew.idle:
                    next_status = time.monotonic() + _STATUS_SECONDS
                    lock.keep(crew.plan)
                    if self._refresh(crew, transport):
                        crew.let_end()
                        return
                outage.over()
            except TransportLost as error:
                outage.lasts(error)
            crew.wait(_POLL_SECONDS)

    def _refresh(self, crew: Crew, transport: RedisStreams) -> bool:
        """Take changes; update and report the status. Returns whether every source has ended."""
        assert self._changes is not None
        if not self._draining:
            self._changes.look()
        self._changes.remove_finished()
        self._sources = summarize_sources(crew.plan, transport)
        self._watchdog.look(crew.plan, self._sources, crew.pids)
        self._on_status(tell(transport, self._summary("running", None)))
        at_work = any(
            source["state"] in AT_WORK or crew.plan.sources[name].leaves for name, source in self._sources.items()
        )
        return not at_work and ((bool(self._sources) and not self._until_stopped) or self._draining)

    def _check_server(self) -> None:
        if self._private is not None and not self._private.alive():
            raise ServerEnded(f"the private Redis server ended: {self._private.why_it_ended()}")

    def _conclude(self, crew: Crew, transport: RedisStreams, error: BaseException | None, outage: Outage) -> Status:
        letters: list[dict[str, str]] = []
        if error is None:
            letters = patiently(outage, lambda: self._collect(crew.plan, transport))
        elif not isinstance(error, RunTaken):  # otherwise what the server holds is the other run's
            with contextlib.suppress(TransportError, StopOverdue):
                letters = self._collect(crew.plan, transport)
        summary = self._summary(run_state(self._sources, error), error)
        summary["dead_letters"] = letters
        try:
            write_summary(crew.plan.output / self._summary_name, summary)
        except RaftlineError:
            if error is None:
                raise
        return summary

    def _collect(self, plan: Plan, transport: RedisStreams) -> list[dict[str, str]]:
        """Remove unfinished outputs and take down how far the sources got. Returns the dead letters."""
        remove_unfinished(plan, transport)
        self._sources = summarize_sources(plan, transport)
        return [
            {"stage": stage, "source": source, "error": why}
            for stage in plan.stages
            for source, why in transport.dead_letters(stage)
        ]

    def _summary(self, state: str, error: BaseException | None) -> Status:
        assert self._crew is not None and self._changes is not None
        crew = self._crew
        for source in self._sources.values():
            for name, stage in source["stages"].items():
                stage["restarts"] = crew.restarts(name)
        seconds = time.monotonic() - self._begin
        summary = summarize_run(crew.plan, self._started, seconds, state, error, self._sources)
        for name, work in summary["workers"].items():
            work["cpu_seconds"] = round(crew.cpu_seconds(name), 3)
            work["memory_mb"] = round(crew.resident_bytes(name) / 1e6, 1) or None  # none where no worker runs
        return summary | self._changes.told()

    def _on_signal(self, number: int) -> None:
        if self._draining and number == signal.SIGINT:
            self.abort()
        self.drain()
        if number == signal.SIGTERM:
            self._deadline.begin()

    def _unfinished(self) -> str:
        """What has not ended, in words."""
        at_work = {name: source for name, source in self._sources.items() if source["state"] in AT_WORK}
        return (
            "; ".join(f"{name}: {source.get('waits') or 'at work'}" for name, source in at_work.items()) or "starting"
        )
