"""A plan run inside this process: the in-process transport in place of Redis, and in place of workers either a thread
for each stage or turns in the caller's thread.

What `raftline.video`, ``raftline run --in-process`` and `pipeline.testing` stand on. The stages, their order and their
results are those of a run by the supervisor; nothing is started again after an error: it is raised to the caller.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.codec import decode
from pipeline.config.plan import Plan
from pipeline.messages import EndOfStream, Message
from pipeline.payload.inline import InlinePayload
from pipeline.registry import load_module
from pipeline.runtime.cores import limit_this_thread, limited_threads, share_cores, whole_cores
from pipeline.runtime.summary import remove_unfinished, summarize_source
from pipeline.runtime.turns import Turns
from pipeline.runtime.worker import Worker
from pipeline.stage import Demand
from pipeline.transport.base import Commit, Lease
from pipeline.transport.memory import MemoryTransport

_MEMORY_MB = 1024
"""For frames that wait between stages; as for a private server of Redis, half of it goes to pixels."""
_LEASE_SECONDS = 1e9
"""The caller keeps its place for as long as the run lives: there is nobody to take it over."""
_READ_AT_ONCE = 4
_POLL_SECONDS = 0.1


class InProcessRun:
    """Use it as a context manager: on the way out every thread has ended and unfinished outputs are removed.

    Args:
        plan: sources and stages; its Redis and payload are not used.
        taps: stages whose messages the caller wants from `messages`, each with the costly fields to fill
            (see `pipeline.stage.Stage.needs`).
        on_status: called from `messages` and `wait`, in the caller's thread, about ten times a second, with the
            summary of each source so far.
        in_turns: work in the caller's thread, while it is in `messages` or `wait`, instead of a thread for each stage:
            slower, and made for debuggers and profilers. See `pipeline.runtime.turns`.
    """

    def __init__(
        self,
        plan: Plan,
        taps: Mapping[str, frozenset[str]] | None = None,
        on_status: Callable[[dict[str, Any]], None] | None = None,
        in_turns: bool = False,
    ) -> None:
        self._taps = dict(taps or {})
        self.plan = _tapped(plan, self._taps, in_turns)
        """What runs: with the taps and the threads of each stage."""
        self._on_status = on_status
        self._next_status = 0.0
        self._in_turns = in_turns
        self._transport = MemoryTransport()
        self._limits = contextlib.ExitStack()
        self._engine = Turns(self.plan, self._transport) if in_turns else _Threads(self.plan, self._transport)

    def __enter__(self) -> InProcessRun:
        for stage in self.plan.stages.values():  # a library that is loaded later could not be limited
            for module in stage.cls.modules(stage.given):
                load_module(module)
        self._limits.enter_context(limited_threads(max(stage.threads or 1 for stage in self.plan.stages.values())))
        for source in self.plan.sources:
            for stage in self.plan.stages.values():
                self._transport.declare(source, stage.name, stage.readers)
        self._engine.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.close()
        self._limits.close()
        remove_unfinished(self.plan, self._transport)

    def drain(self) -> None:
        """End the sources; what is in flight is finished, and outputs are complete."""
        self._engine.drain()

    def messages(self) -> Iterator[tuple[str, Message]]:
        """(stage, message) of every tapped stage, each stage's in order, its EndOfStream included.

        A stage waits while the caller does not ask for more. Of a live source only the newest messages come.

        Raises:
            BaseException: whatever a stage raised.
        """
        leases = {key: self._lease(*key) for source in self.plan.sources for key in self._keys(source)}
        payload = InlinePayload()
        while leases:
            self._advance(seconds=0.0)
            for number, (source, stage) in enumerate(list(leases)):
                reader = _reader(stage)
                # Only one stream is waited for; the others are looked into.
                block_seconds = _POLL_SECONDS if number == 0 and not self._in_turns else 0.0
                for _, entry in self._transport.read(reader, [(source, stage)], _READ_AT_ONCE, block_seconds):
                    message = decode(entry.fields, payload)
                    yield stage, message
                    token = leases[source, stage].token
                    self._transport.commit(Commit(source, reader, token, upstream=stage, acknowledge=[entry.id]))
                    if isinstance(message, EndOfStream):
                        del leases[source, stage]
        self.wait()

    def wait(self) -> dict[str, Any]:
        """Wait until every stage has ended; the summary of each source. Raises what a stage raised."""
        while self._advance(_POLL_SECONDS):
            pass
        return self.summary()

    def summary(self) -> dict[str, Any]:
        """What was done so far, by source, as in ``summary.json``."""
        return {source: summarize_source(self.plan, self._transport, source) for source in self.plan.sources}

    def _advance(self, seconds: float) -> bool:
        """Let the stages work, and tell how far they are. False when all have ended."""
        goes_on = self._engine.advance(seconds)
        is_due = not (self._in_turns and goes_on) or time.monotonic() >= self._next_status
        if self._on_status is not None and is_due:
            self._next_status = time.monotonic() + _POLL_SECONDS
            self._on_status(self.summary())
        return goes_on

    def _keys(self, source: str) -> list[tuple[str, str]]:
        return [(source, stage) for stage in self._taps]

    def _lease(self, source: str, stage: str) -> Lease:
        reader = _reader(stage)
        lease = self._transport.acquire(source, reader, reader, _LEASE_SECONDS)
        assert lease is not None, "one caller reads a run"
        return lease


class _Threads:
    """A thread for each stage."""

    def __init__(self, plan: Plan, transport: MemoryTransport) -> None:
        self._failures: list[BaseException] = []
        self._workers = {
            stage: Worker(plan, stage, transport, f"thread-{stage}", Path(), supervised=False, ttl_seconds=None)
            for stage in plan.stages
        }
        self._source = self._workers[plan.source_stage]
        self._threads = [
            threading.Thread(
                target=self._work, args=(worker, plan.stages[stage].threads or 1), name=f"stage {stage}", daemon=True
            )
            for stage, worker in self._workers.items()
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def advance(self, seconds: float) -> bool:
        """Wait for at most so long. Raises what a stage raised."""
        for thread in self._threads:
            thread.join(seconds / len(self._threads))
        alive = any(thread.is_alive() for thread in self._threads)  # before the look: a dying thread fails first
        if self._failures:
            raise self._failures[0]
        return alive

    def drain(self) -> None:
        self._source.end_sources()

    def close(self) -> None:
        for worker in self._workers.values():
            worker.abandon()
        for thread in self._threads:
            thread.join()

    def _work(self, worker: Worker, threads: int) -> None:
        try:
            limit_this_thread(threads)
            worker.run()
        except BaseException as error:
            self._failures.append(error)


def _reader(stage: str) -> str:
    """Name of the consumer group by which the caller reads a stage."""
    return f"python.{stage}"


def _tapped(plan: Plan, taps: Mapping[str, frozenset[str]], in_turns: bool) -> Plan:
    stages = dict(plan.stages)
    for name, needs in taps.items():
        stage, reader = stages[name], _reader(name)
        others = stage.demand.readers if stage.demand.accuracy == "full" else ()
        demand = Demand("full", (*others, reader))
        stages[name] = replace(stage, readers=(*stage.readers, reader), needs=stage.needs | needs, demand=demand)
    # Within a process an entry with its pixels in it is a reference: nothing is serialized but a copy is made once.
    plan = replace(plan, payload="inline", redis_memory_mb=_MEMORY_MB, stages=stages)
    return whole_cores(plan) if in_turns else share_cores(plan, in_process=True)
