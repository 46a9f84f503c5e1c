"""Workers that take turns in one thread, as a debugger or a profiler likes it: each stage calls the next.

A source is asked for one frame at a time, and whatever a stage publishes is worked on by its readers before it goes on.
So a traceback leads from the source to the line that failed, a breakpoint has the terminal for itself, and everything
happens in the same order in every run.
"""

from __future__ import annotations

from bdb import BdbQuit
from collections.abc import Callable, Generator
from pathlib import Path

from pipeline.config.plan import Plan
from pipeline.errors import InputError, PluginError, RaftlineError
from pipeline.runtime.hosted import describe
from pipeline.runtime.source_task import SourceTask
from pipeline.runtime.stage_task import StageTask
from pipeline.runtime.worker import Worker
from pipeline.transport.base import Transport


class Turns:
    """The workers of a plan. Use from one thread."""

    def __init__(self, plan: Plan, transport: Transport) -> None:
        self._workers = {stage: _Worker(plan, stage, transport, self._readers_of(plan, stage)) for stage in plan.stages}
        self._source = self._workers[plan.source_stage]

    def start(self) -> None:
        """Nothing: `advance` does the work."""

    def advance(self, seconds: float) -> bool:
        """Ask every source for one frame, and take it through all stages. False when every source has ended.

        Args:
            seconds: Not used; no turn waits.

        Raises:
            PluginError: What a stage raised; it is the cause.
        """
        self._source.turn()
        if not self._source.done:
            return True
        for worker in self._workers.values():
            worker.turn()  # sees that all has ended
        return False

    def drain(self) -> None:
        """End the sources: what is in flight is finished by `advance`. May be called from a signal handler."""
        self._source.end_sources()

    def close(self) -> None:
        """Close every stage."""
        for worker in self._workers.values():
            worker.close()

    def _readers_of(self, plan: Plan, stage: str) -> Callable[[], None]:
        readers = [reader for reader in plan.stages[stage].readers if reader in plan.stages]

        def read() -> None:
            for reader in readers:
                self._workers[reader].turn()

        return read


class _Worker(Worker):
    def __init__(self, plan: Plan, stage: str, transport: Transport, on_sent: Callable[[], None]) -> None:
        super().__init__(plan, stage, transport, f"turns-{stage}", Path(), supervised=False, ttl_seconds=None)
        self._on_sent = on_sent

    @property
    def done(self) -> bool:
        """Whether all its sources have ended."""
        return len(self._ended) == len(self._plan.sources)

    def turn(self) -> None:
        """Work on all that is there."""
        try:
            self._acquire()
            if self._is_source:
                self._turn_sources()
            elif self._tasks:
                self._read(block_seconds=0.0)
        except (RaftlineError, BdbQuit):
            raise
        except Exception as error:
            said = describe(error, self._stage.cls)
            raise PluginError(f"stage {self._stage.name!r} ({self._stage.use}) failed: {said}") from error

    def close(self) -> None:
        self._close()

    def _turn_sources(self) -> None:
        for source, task in list(self._tasks.items()):
            assert isinstance(task, _SourceTask)
            next(task.turns, None)
            if task.ended:
                self._finish(source)

    def _task(self, source: str, token: str) -> StageTask | SourceTask:
        kind = _SourceTask if self._is_source else StageTask
        task = kind(self._plan, self._transport, source, self._stage.name, token, self._rings)
        task.publisher.on_sent = self._on_sent
        return task


class _SourceTask(SourceTask):
    """A source without threads: each step of `turns` publishes a frame; the last one the end."""

    turns: Generator[None, None, None]

    def start(self) -> None:
        self.turns = self._turns()

    def close(self) -> None:
        self.turns.close()
        super().close()

    def _turns(self) -> Generator[None, None, None]:
        error: InputError | None = None
        try:
            try:
                for commit in self._commits():
                    self.publisher.send([commit])
                    if self._stopping.is_set():
                        break
                    yield
            except InputError as caught:
                error = caught
            self._end(*self._how_it_ended(error))
        finally:
            self._source.close()
