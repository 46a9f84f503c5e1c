"""A worker: one stage, any number of sources.

The supervisor has it forked from the nursery (`pipeline.runtime.worker_program`); on another host, `raftline worker`
starts it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pipeline.config.plan import Plan
from pipeline.errors import EntriesAstray, GroupLost, LeaseLost, RaftlineError, TransportLost
from pipeline.runtime.hosted import describe
from pipeline.runtime.intake import Taken
from pipeline.runtime.mistakes import end_run_on_mistake
from pipeline.runtime.outage import RETRY_SECONDS, Outage
from pipeline.runtime.ownership import TTL_SECONDS, Ownership
from pipeline.runtime.run_news import RemoteRun, RunNews
from pipeline.runtime.source_faults import SourceFaults
from pipeline.runtime.source_task import SourceTask
from pipeline.runtime.stage_task import StageTask
from pipeline.transport.base import Entry, Transport

_READ_COUNT = 32
"""Entries per read and stream: half of the default `limits.entries`. Chosen by hand."""
_LIVE_READ_COUNT = 1000
"""Live readers take everything there is, in order to drop the oldest; streams are trimmed to far fewer."""
_BLOCK_SECONDS = 0.25
"""Longest wait for an entry before leases and the request to stop are checked again."""
_ACQUIRE_EVERY_SECONDS = 0.5
"""Between attempts to take over sources of other workers; far less than the life of a lease."""
_GRACE_SECONDS = 2.0
"""How long a source beyond a worker's share is left to other workers, which may be starting. Chosen by hand."""
_IDLE_SECONDS = 0.05
"""Between looks at source threads and at sources owned by others. Chosen by hand: below what a user notices."""

T = TypeVar("T")
log = logging.getLogger("raftline.worker")


class Worker:
    """Acquires free sources and works on them until they end or the worker is stopped."""

    def __init__(
        self,
        plan: Plan,
        stage: str,
        transport: Transport,
        worker_id: str,
        ring_directory: Path,
        supervised: bool,
        ttl_seconds: float | None = TTL_SECONDS,
        news: RunNews | None = None,
    ) -> None:
        self._plan = plan
        self._news = news or (RunNews() if supervised else RemoteRun(plan, stage, transport))
        self._stage = plan.stages[stage]
        self._transport = transport
        self._rings = ring_directory
        self._supervised = supervised
        self._is_source = stage == plan.source_stage
        self._ownership = Ownership(transport, stage, worker_id, ttl_seconds)
        self._tasks: dict[str, StageTask | SourceTask] = {}
        self._ended: set[str] = set()
        self._stop = threading.Event()
        self._free_since: dict[str, float] = {}
        self._tried: dict[str, set[str]] = {}
        self._faults = SourceFaults(self._stage, transport)
        self._next_acquire = 0.0

    def stop(self) -> None:
        """Finish the work in hand and end. Under a supervisor, sources also end their streams."""
        self._stop.set()

    def end_sources(self) -> None:
        """Let the sources it works on end their streams. From any thread, or a signal handler."""
        for task in list(self._tasks.values()):
            if isinstance(task, SourceTask):
                task.stop()

    def abandon(self) -> None:
        """End without finishing what was begun: whoever waits for room in a stream stops waiting. From any thread."""
        self._stop.set()
        for task in list(self._tasks.values()):
            task.lose()

    def run(self) -> None:
        """Work until every source has ended or `stop` is called. Raises what a stage raises."""
        outage = Outage(f"stage {self._stage.name}")
        try:
            while not self._stop.is_set() and not self._has_ended_all():
                try:
                    self._acquire()
                    self._work()
                    outage.over()
                except TransportLost as error:
                    outage.lasts(error)
                    self._drop_all()
                    time.sleep(RETRY_SECONDS)
                except (GroupLost, EntriesAstray) as error:
                    log.warning("stage %s: %s; starting over", self._stage.name, error)
                    self._drop_all()
            if self._is_source and self._supervised:
                self._end_sources()
        finally:
            self._close()

    def _acquire(self) -> None:
        if time.monotonic() < self._next_acquire:
            return
        self._next_acquire = time.monotonic() + _ACQUIRE_EVERY_SECONDS
        if not self._goes_on():
            return
        others = [source for source in self._plan.sources if source not in self._tasks and source not in self._ended]
        free = self._transport.unowned(self._stage.name, others)  # in one round trip: most of them are another worker's
        self._free_since = {source: self._free_since.get(source, time.monotonic()) for source in free}
        for source in free:
            lease = self._ownership.acquire(source) if self._may_take(source) else None
            if lease is not None:
                try:
                    self._take_up(source, lease.token)
                except BaseException:
                    self._drop(source)  # else the lease would be renewed, and waited for, for ever
                    raise
            elif self._transport.progress(source, self._stage.name).ended:
                self._ended.add(source)
        for task in list(self._tasks.values()):
            if isinstance(task, StageTask):
                self._while_owned([task], task.look_for_astray)

    def _goes_on(self) -> bool:
        """Whether there is a run to take part in. Stops if there was one, and it has ended; follows its changes."""
        goes_on = self._news.goes_on()
        if goes_on is None:
            self.stop()
        if (plan := self._news.plan() if goes_on else None) is not None:
            self._follow(plan)
        return bool(goes_on)

    def _follow(self, plan: Plan) -> None:
        """Work by a plan whose sources have changed; those that have not go on."""
        before, self._plan = self._plan.sources, plan
        for source, old in before.items():
            new, task = plan.sources.get(source), self._tasks.get(source)
            if new is None or new.life != old.life:
                self._drop(source)
                self._ended.discard(source)
            elif new != old and isinstance(task, SourceTask):
                (task.stop if new.leaves else task.restart)()

    def _may_take(self, source: str) -> bool:
        """Whether a source does not pause, and is within this worker's fair share or has had no owner for some time."""
        if self._faults.pauses(source):
            return False
        if len(self._tasks) < -(-len(self._plan.sources) // (self._stage.workers or 1)):
            return True
        return time.monotonic() - self._free_since[source] > _GRACE_SECONDS

    def _has_ended_all(self) -> bool:
        """Whether nothing is left to do. A run without sources waits for one to be added."""
        return 0 < len(self._plan.sources) <= len(self._ended)

    def _take_up(self, source: str, token: str) -> None:
        task = self._tasks[source] = self._task(source, token)
        if isinstance(task, SourceTask):
            task.start()
            if self._plan.sources[source].leaves:
                task.stop()
        elif not task.ended:
            self._while_owned([task], task.resume, self._tried.setdefault(source, set()))
        if task.ended:
            self._finish(source)

    def _task(self, source: str, token: str) -> StageTask | SourceTask:
        kind = SourceTask if self._is_source else StageTask
        return kind(self._plan, self._transport, source, self._stage.name, token, self._rings)

    def _work(self) -> None:
        for source in [source for source in self._tasks if not self._ownership.holds(source)]:
            log.warning("stage %s: lost %s to another worker", self._stage.name, source)
            self._drop(source)
        if self._is_source:
            self._watch_sources()
        elif self._tasks:
            self._read()
        else:
            time.sleep(_IDLE_SECONDS)

    def _read(self, block_seconds: float = _BLOCK_SECONDS) -> None:
        streams = [(source, str(self._stage.reads)) for source in self._tasks]
        policies = {self._plan.sources[source].policy for source in self._tasks}
        count = _LIVE_READ_COUNT if "live" in policies else _READ_COUNT
        by_source: dict[str, list[Entry]] = {}
        for source, entry in self._transport.read(self._stage.name, streams, count, block_seconds):
            by_source.setdefault(source, []).append(entry)
        tasks = {source: task for source in by_source if isinstance(task := self._tasks[source], StageTask)}
        for source, task in tasks.items():
            task.receive(by_source[source])
        for task in [] if by_source else list(self._tasks.values()):
            if isinstance(task, StageTask):
                self._while_owned([task], task.idle)
        self._work_off(list(tasks.values()))
        for source in [source for source, task in tasks.items() if task.ended]:
            self._finish(source)

    def _work_off(self, tasks: Sequence[StageTask]) -> None:
        """Process one message of every source at a time, until none is left: no source waits for all of another's."""
        try:
            while waiting := [task for task in tasks if task.waiting and self._owns(task)]:
                self._work_round([(task, self._while_owned([task], task.take)) for task in waiting])
        finally:
            for task in tasks:
                self._while_owned([task], task.commit)

    def _work_round(self, taken: Sequence[tuple[StageTask, Taken | None]]) -> None:
        todo = [(task, each) for task, each in taken if each is not None]
        batch = [(task, each.message) for task, each in todo if each.is_processed]
        batch_ns = 0
        if len(batch) > 1 and self._stage.supports_batching:
            started = time.monotonic_ns()
            self._while_owned([task for task, _ in batch], batch[0][0].prepare_batch, batch)
            batch_ns = (time.monotonic_ns() - started) // len(batch)
        for task, each in todo:
            self._while_owned([task], task.work, each, batch_ns)

    def _owns(self, task: StageTask) -> bool:
        """`_work` drops those whose lease has run out."""
        return self._tasks.get(task.source) is task and self._ownership.holds(task.source)

    def _while_owned(self, tasks: list[StageTask], work: Callable[..., T], *arguments: Any) -> T | None:
        """Run `work` while this worker owns the sources of `tasks`; None if another worker has taken one of them."""
        if not all(map(self._owns, tasks)):
            return None
        try:
            return work(*arguments)
        except LeaseLost:
            for task in tasks:
                self._drop(task.source)
            return None
        except RaftlineError:
            raise
        except Exception as error:
            for task in tasks:
                self._transport.set_status(task.source, self._stage.name, {"error": describe(error, self._stage.cls)})
            if self._supervised:
                end_run_on_mistake(error, self._plan, self._stage, self._transport)
            raise

    def _watch_sources(self) -> None:
        for source, task in list(self._tasks.items()):
            assert isinstance(task, SourceTask)
            if not task.running:
                if task.error is not None:
                    if not self._supervised:
                        raise task.error
                    self._faults.handle(task, task.error, self._plan)
                if task.ended:
                    self._finish(source)
                else:
                    self._drop(source)
        self._stop.wait(_IDLE_SECONDS)

    def _end_sources(self) -> None:
        # A source that has not begun must also end its stream.
        for _ in self._plan.sources:
            self._next_acquire = 0.0
            self._acquire()
        self.end_sources()
        while any(isinstance(task, SourceTask) and task.running for task in self._tasks.values()):
            time.sleep(_IDLE_SECONDS)
        self._watch_sources()

    def _finish(self, source: str) -> None:
        self._ended.add(source)
        self._tasks.pop(source).close()
        self._ownership.release(source)

    def _drop(self, source: str) -> None:
        task = self._tasks.pop(source, None)
        if task is not None:
            task.lose()
            task.close()
        self._ownership.release(source)

    def _drop_all(self) -> None:
        for source in list(self._tasks):
            self._drop(source)
        self._next_acquire = 0.0

    def _close(self) -> None:
        self._drop_all()
        self._ownership.close()
        self._transport.close()
