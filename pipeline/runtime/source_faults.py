"""Sources whose plug-in raises what it should not: each is tried again by itself, and takes no other one down."""

from __future__ import annotations

import logging
import time

from pipeline.config.plan import Plan, StagePlan
from pipeline.errors import TransportLost
from pipeline.runtime.hosted import describe
from pipeline.runtime.mistakes import end_run_on_mistake
from pipeline.runtime.source_task import SourceTask
from pipeline.transport.base import Transport

_LONGEST_DELAY_SECONDS = 10.0
"""As between two lives of a worker."""

log = logging.getLogger("raftline.worker")


class SourceFaults:
    """The faults of each source in a row, without a frame between them."""

    def __init__(self, stage: StagePlan, transport: Transport) -> None:
        self._stage, self._transport = stage, transport
        self._met: dict[str, tuple[int, int]] = {}
        self._due: dict[str, float] = {}

    def handle(self, task: SourceTask, error: BaseException, plan: Plan) -> None:
        """Let a source that failed be tried again, after a delay that grows; or end it, after as many as a worker may.

        Raises:
            TransportLost: Where that is the error: it is not the source's fault.
            BaseException: The error, where there is no other source that could go on.
        """
        if isinstance(error, TransportLost):
            raise error
        end_run_on_mistake(error, plan, self._stage, self._transport)
        others = plan.sources.keys() - {task.source}
        alone = all(self._transport.progress(other, self._stage.name).ended for other in others)
        if alone or not isinstance(error, Exception):
            raise error
        told, again = describe(error), self._note(task.source, task.delivered) <= plan.limits.restarts
        log.error("source %s: %s; %s", task.source, told, "trying it again" if again else "it is given up")
        if not again:
            task.fail(told)

    def _note(self, source: str, index: int) -> int:
        last_index, before = self._met.get(source, (index, 0))
        in_a_row = before + 1 if index == last_index else 1
        self._met[source] = index, in_a_row
        self._due[source] = time.monotonic() + min(_LONGEST_DELAY_SECONDS, 0.1 * 2**in_a_row)
        return in_a_row

    def pauses(self, source: str) -> bool:
        """Whether the delay of a source is not over yet."""
        return time.monotonic() < self._due.get(source, 0.0)
