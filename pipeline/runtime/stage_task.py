"""One stage at work on one source: decode, process, publish, acknowledge."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.codec import decode, decode_with_arrays
from pipeline.config.plan import Plan
from pipeline.errors import DecodeError, StalePayloadError
from pipeline.messages import EndOfStream, Gap, Header, LazyArray, Message
from pipeline.runtime.context import WorkerContext
from pipeline.runtime.hosted import HostedStage
from pipeline.runtime.inbox import Inbox, longest_age_ns
from pipeline.runtime.metrics import BUSY_US, DEAD_LETTERS, DROPPED, ELAPSED_US, FRAMES, latency_counter
from pipeline.runtime.output_lock import run_of
from pipeline.runtime.publisher import Acknowledgement, Publisher
from pipeline.runtime.step_queue import StepQueue
from pipeline.stage import Stage
from pipeline.transport.base import START, Entry, Position, Transport

ATTEMPTS = 3
"""Workers that may die on an entry before it becomes a dead letter; stated in docs/writing_a_stage.md."""


class Taken(NamedTuple):
    """An entry that was decoded but not yet processed."""

    id: str
    message: Message
    position: Position


class StageTask:
    """Runs a `Stage` on one source, for as long as the worker holds the lease."""

    def __init__(
        self, plan: Plan, transport: Transport, source: str, stage: str, token: str, ring_directory: Path
    ) -> None:
        self.source = source
        self._transport = transport
        self._plan = plan.stages[stage]
        self._upstream = str(self._plan.reads)
        self._live = plan.sources[source].policy == "live"
        self._inbox = Inbox(longest_age_ns(plan, source, stage))
        self.context = WorkerContext(
            stage,
            plan.sources[source],
            plan.output,
            self._plan.needs,
            self._plan.threads,
            on_status=lambda values: transport.set_status(source, stage, values),
            demand=self._plan.demand,
            run=run_of(plan),
        )
        self._unacknowledged: deque[str] = deque()
        self._last_step = 0
        self._seen = START
        transport.declare(source, self._upstream, plan.stages[self._upstream].readers)
        transport.declare(source, stage, self._plan.readers)
        progress = transport.progress(source, stage)
        self._done = progress.processed
        self.ended = progress.ended
        self.publisher = Publisher(plan, transport, source, stage, token, ring_directory)
        self._steps = StepQueue(self.publisher, self._live)
        if not self.ended:
            try:
                self._hosted = self._host()
                self._hosted.open(progress.snapshot)
            except BaseException:
                self.close()
                raise

    def resume(self) -> None:
        """Process what the previous worker left pending: its unacknowledged window, what it had not committed, and the
        message it died on. That one shows itself by killing this worker, too: so each commits before the next begins.

        An EndOfStream never becomes a dead letter: without it outputs are incomplete, so the run ends with the
        stage's error instead.
        """
        entries = self._transport.pending(self._plan.name, self.source, self._upstream)
        for entry in entries:
            died = self._transport.attempt(self.source, self._plan.name, entry.id) if self._is_new(entry) else 0
            if died >= ATTEMPTS and not _ends(entry):
                self._dead_letter(
                    entry, self._transport.status(self.source, self._plan.name).get("error", "its worker died")
                )
            else:
                self.handle(entry)
                self.commit()

    @property
    def waiting(self) -> bool:
        """Whether entries that were received wait to be taken."""
        return bool(self._inbox)

    def receive(self, entries: Sequence[Entry]) -> None:
        """Add new entries, in order."""
        self._inbox.put(entries)

    def handle(self, entry: Entry) -> None:
        """Handle one entry, from decoding to acknowledgement."""
        taken = self._decoded(entry)
        if taken is not None:
            self.work(taken)

    def take(self) -> Taken | None:
        """Decode the next of the entries that wait; None if there is nothing to process."""
        return self._decoded(self._inbox.take())

    def _decoded(self, entry: Entry) -> Taken | None:
        try:
            message, arrays = decode_with_arrays(entry.fields, self.publisher.payload) if entry.fields else (None, [])
        except DecodeError as error:
            self._dead_letter(entry, str(error))
            return None
        position = Position(message.header.epoch, message.header.sequence) if message else START
        if message is None or position <= self._seen:
            self._acknowledge(entry)
            return None
        self._seen = position
        if self._inbox.too_late(entry, message):
            self._acknowledge(entry, position, f"{DROPPED}late")
            return None
        if self._live and not self._fetch(entry, arrays, position):
            return None
        return Taken(entry.id, message, position)

    def work(self, taken: Taken, batch_ns: int = 0) -> None:
        """Process a message, publish the results, and acknowledge it.

        `batch_ns` is this message's share of the time that `Stage.prepare_batch` took.
        """
        started = time.monotonic_ns()
        self._unacknowledged.append(taken.id)
        last = self._publish_all_but_last(self._hosted.outputs(taken.message))
        self._finish(taken.message, taken.position, last, time.monotonic_ns() - started + batch_ns)

    def prepare_batch(self, batch: Sequence[tuple[StageTask, Message]]) -> None:
        """Let the stage compute the messages of several tasks in one pass. See `Stage.prepare_batch`."""
        with self._hosted.calling("prepare_batch"):
            type(self.stage).prepare_batch([(task.stage, message) for task, message in batch])

    def lose(self) -> None:
        """The source is no longer this worker's: stop waiting for room in the stream. From any thread."""
        self.publisher.lose()

    def close(self) -> None:
        """Release the stage object. The next owner gets everything that was not acknowledged."""
        try:
            if hasattr(self, "_hosted"):
                self.stage.close()
        finally:
            self.context.close()
            self.publisher.close()

    @property
    def stage(self) -> Stage:
        """The plug-in's object."""
        return self._hosted.stage

    def _host(self) -> HostedStage:
        plan = self._plan
        assert issubclass(plan.cls, Stage)
        return HostedStage(plan.name, plan.use, plan.cls, plan.options, self.context)

    def _publish_all_but_last(self, outputs: Iterable[Message]) -> Message | None:
        last, since_ns = None, time.monotonic_ns()
        for output in outputs:
            now_ns = time.monotonic_ns()
            if last is not None:
                self._steps.publish(last, Acknowledgement(), now_ns - since_ns, more=True)
            last, since_ns = output, now_ns
        return last

    def _finish(self, message: Message, position: Position, last: Message | None, busy_ns: int) -> None:
        now = time.monotonic_ns()
        ended = isinstance(message, EndOfStream)
        window = 0 if ended else self._hosted.unacked_window()
        ids = [self._unacknowledged.popleft() for _ in range(len(self._unacknowledged) - window)]
        snapshot = None if ended else self._hosted.snapshot()
        counts = self.context.take_counts()
        if not isinstance(message, Gap | EndOfStream):
            counts |= {
                FRAMES: 1,
                BUSY_US: busy_ns // 1000,
                latency_counter((time.time_ns() - message.header.arrival_ns) / 1e6): 1,
            }
        counts[ELAPSED_US] = (now - (self._last_step or now)) // 1000
        self._last_step = now
        step = Acknowledgement(self._upstream, ids, position, counts, snapshot, ended)
        if last is not None:
            self._steps.publish(last, step, busy_ns, more=self.waiting)
        else:
            self._steps.add(step, busy_ns)
        if ended:
            self.commit()
        self.ended = ended

    def commit(self) -> None:
        """Commit the steps that wait."""
        self._steps.commit()

    def _fetch(self, entry: Entry, arrays: Iterable[LazyArray], position: Position) -> bool:
        try:
            for array in arrays:
                np.asarray(array)
            return True
        except StalePayloadError:
            self._acknowledge(entry, position, f"{DROPPED}recycled")
            return False

    def _dead_letter(self, entry: Entry, error: str) -> None:
        self.context.log.error(
            "stage %s: entry %s of %s becomes a dead letter: %s", self._plan.name, entry.id, self.source, error
        )
        self.commit()
        position = self._position(entry)
        # An entry with a known position is acknowledged together with the gap that replaces it.
        ids = [entry.id] if position is None else []
        self._transport.dead_letter(self.publisher.step(Acknowledgement(self._upstream, ids)), entry, error)
        if position is not None:
            self._seen = position
            self.context.count(DEAD_LETTERS)
            gap = Gap(self._header(entry), "lost_frames", f"stage {self._plan.name} could not process it")
            self.work(Taken(entry.id, gap, position))

    def _acknowledge(self, entry: Entry, position: Position | None = None, count: str | None = None) -> None:
        """Let an entry go that is not processed."""
        self._steps.add(Acknowledgement(self._upstream, [entry.id], position, {count: 1} if count else {}))

    def _is_new(self, entry: Entry) -> bool:
        position = self._position(entry)
        return position is None or position > self._done

    def _position(self, entry: Entry) -> Position | None:
        try:
            header = self._header(entry)
        except DecodeError:
            return None
        return Position(header.epoch, header.sequence)

    def _header(self, entry: Entry) -> Header:
        return decode(entry.fields, self.publisher.payload).header


def _ends(entry: Entry) -> bool:
    return entry.fields.get(b"type") == b"EndOfStream"
