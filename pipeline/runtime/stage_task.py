"""One stage at work on one source: decode, process, publish, acknowledge."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.codec import decode
from pipeline.config.plan import Plan
from pipeline.errors import DecodeError, EntriesAstray, StateLost
from pipeline.messages import EndOfStream, Gap, Message
from pipeline.runtime.context import OUTPUT, WorkerContext
from pipeline.runtime.entries import ends, position_of, with_pixels
from pipeline.runtime.hosted import HostedStage
from pipeline.runtime.inbox import Inbox, longest_age_ns
from pipeline.runtime.intake import Intake, LetGo, Taken
from pipeline.runtime.keeping import Kept, StateKeeper, state_keeper
from pipeline.runtime.metrics import DEAD_LETTERS, DROPPED, ELAPSED_US, RECYCLED, STATES_LOST, message_counts
from pipeline.runtime.output_lock import run_of
from pipeline.runtime.publisher import Acknowledgement, Publisher
from pipeline.runtime.step_queue import StepQueue
from pipeline.stage import Stage
from pipeline.transport.base import Entry, Progress, Transport

ATTEMPTS = 3
"""Workers that may die on an entry before it becomes a dead letter; stated in docs/writing_a_stage.md."""


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
        self.context = WorkerContext(
            stage,
            plan.sources[source],
            plan.output,
            self._plan.needs,
            self._plan.threads,
            on_status=lambda values: transport.set_status(source, stage, values),
            demand=self._plan.demand,
            run=run_of(plan),
            run_directory=ring_directory,
        )
        self._unacknowledged: deque[str] = deque()
        self._last_step = 0
        transport.declare(source, self._upstream, plan.stages[self._upstream].readers)
        transport.declare(source, stage, self._plan.readers)
        progress = transport.progress(source, stage)
        self._done = progress.processed
        if progress.snapshot is not None:
            said = transport.status(source, stage)
            self.context.finished_before = {name[len(OUTPUT) :] for name in said if name.startswith(OUTPUT)}
        self._inbox = Inbox(longest_age_ns(plan, source, stage), progress.read)
        self.ended = progress.ended
        self.publisher = Publisher(plan, transport, source, stage, token, ring_directory)
        self.publisher.published = progress.published
        self._intake = Intake(self._inbox, self.publisher.payload, self._live, self._done, self.context)
        self._steps = StepQueue(self.publisher, self._live)
        self._keeper: StateKeeper | None = None
        self._state_lost = False
        if not self.ended:
            try:
                self._hosted = self._host()
                self._keeper = state_keeper(plan, transport, source, self._hosted, token, ring_directory)
                self._open(progress)
            except BaseException:
                self.close()
                raise

    def resume(self, tried: set[str]) -> None:
        """Process what the previous worker left pending: its unacknowledged window, what it had not committed, and the
        message it died on. That one shows itself by killing this worker, too: so each commits before the next begins.

        An EndOfStream never becomes a dead letter: without it outputs are incomplete, so the run ends with the
        stage's error instead.

        Args:
            tried: Ids of what this worker has tried before, over a connection that it lost, and lived. Kept up to date.
        """
        pending = self._transport.pending(self._plan.name, self.source, self._upstream)
        tried.intersection_update(entry.id for entry in pending)
        self._put(pending)
        while self.waiting:
            entry = self._inbox.take()
            died = 0
            if self._is_new(entry) and entry.id not in tried:
                tried.add(entry.id)
                died = self._transport.attempt(self.source, self._plan.name, entry.id)
            if died >= ATTEMPTS and not ends(entry):
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
        """Add new entries, in order. Raises `EntriesAstray`."""
        if not self._live and not self._inbox.follows(entries):
            self._raise_astray()
        self._put(entries)

    def _put(self, entries: Sequence[Entry]) -> None:
        skipped = self._inbox.skips(entries) if self._live else None
        missed = self._transport.missed(self.source, self._upstream, *skipped) if skipped else []
        self._inbox.put([*missed, *entries])

    def look_for_astray(self) -> None:
        """See that no entry has gone to another worker, after which nothing else would come.

        To be called again and again, and the stream to be read in between. Raises `EntriesAstray`.
        """
        if not self._live and self._inbox.lacks(self._transport.written(self.source, self._upstream)):
            self._raise_astray()

    def _raise_astray(self) -> None:
        raise EntriesAstray(f"a worker that had {self.source} before has read entries of it")

    def handle(self, entry: Entry) -> None:
        """Handle one entry, from decoding to acknowledgement."""
        taken = self._decoded(entry)
        if taken is not None:
            self.work(taken)

    def take(self) -> Taken | None:
        """Decode the next entry that waits; None if there is nothing to process."""
        return self._decoded(self._inbox.take())

    def _decoded(self, entry: Entry) -> Taken | None:
        try:
            taken = self._intake.decoded(entry)
        except DecodeError as error:
            self._dead_letter(entry, str(error))
            return None
        if isinstance(taken, LetGo):
            self._let_go(taken)
            return None
        return taken

    def work(self, taken: Taken, batch_ns: int = 0) -> None:
        """Process a message, publish the results, and acknowledge it.

        `batch_ns` is this message's share of the time that `Stage.prepare_batch` took.
        """
        started = time.monotonic_ns()
        self._unacknowledged.append(taken.id)
        last = self._publish_all_but_last(self._hosted.outputs(taken.message, taken.recycled))
        self._finish(taken, last, time.monotonic_ns() - started + batch_ns)

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
            if self._keeper is not None:
                self._keeper.close()
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

    def _open(self, progress: Progress) -> None:
        self._hosted.open(progress.snapshot)
        if self._keeper is None:
            return
        try:
            self._keeper.restore(progress.checkpoint)
        except StateLost as error:
            self.context.log.warning("stage %s begins anew with %s: its state: %s", self._plan.name, self.source, error)
            self._state_lost = True

    def _publish_all_but_last(self, outputs: Iterable[Message]) -> Message | None:
        last, since_ns = None, time.monotonic_ns()
        for output in outputs:
            now_ns = time.monotonic_ns()
            if last is not None:
                self._steps.publish(last, Acknowledgement(), now_ns - since_ns, more=True)
            last, since_ns = output, now_ns
        return last

    def _finish(self, taken: Taken, last: Message | None, busy_ns: int) -> None:
        now = time.monotonic_ns()
        message, position = taken.message, taken.position
        ended = isinstance(message, EndOfStream)
        ids, kept = ([*self._unacknowledged], Kept(None, None)) if ended else self._kept(taken, busy_ns)
        counts = self.context.take_counts()
        if self._state_lost and position > self._done:  # what is processed again counts nothing
            counts[STATES_LOST], self._state_lost = 1, False
        if taken.recycled:
            counts[f"{DROPPED}{RECYCLED}"] = 1
        elif not isinstance(message, Gap | EndOfStream):
            counts |= message_counts(busy_ns, message.header.arrival_ns)
        counts[ELAPSED_US] = (now - (self._last_step or now)) // 1000
        self._last_step = now
        step = Acknowledgement(
            self._upstream, ids, position, counts, kept.snapshot, ended, kept.checkpoint, self._inbox.read
        )
        if last is not None:
            self._steps.publish(last, step, busy_ns, more=self.waiting)
        else:
            self._steps.add(step, busy_ns)
        if ended:
            self.commit()
        elif kept.checkpoint is not None:
            self._commit_state()
        if ended and self._keeper is not None:
            self._keeper.forget()
        self.ended = ended

    def idle(self) -> None:
        """Nothing is there to be read: keep the state, so that nobody waits for what is held back for it."""
        keeper = self._keeper
        if keeper is not None and keeper.holds_back and keeper.behind and self._intake.seen >= self._done:
            kept, ids, seen = keeper.keep(), self._done_with(), self._intake.seen
            self._steps.add(Acknowledgement(self._upstream, ids, seen, {}, kept.snapshot, False, kept.checkpoint))
            self._commit_state()

    def _commit_state(self) -> None:
        """Commit a state that was kept, before the next one is written over the one before it."""
        self.commit()
        assert self._keeper is not None
        self._keeper.committed()

    def _kept(self, taken: Taken, busy_ns: int) -> tuple[list[str], Kept]:
        """The entries that are done with a message, and the state that the step stores."""
        keeper = self._keeper
        if keeper is None:
            return self._done_with(), Kept(self._hosted.snapshot(), None)
        due = keeper.processed(taken.arrays, busy_ns) or isinstance(taken.message, Gap)
        if due and taken.position >= self._done:  # what is processed again was kept before
            return self._done_with(), keeper.keep()
        return ([], Kept(None, None)) if keeper.holds_back else (self._done_with(), Kept(self._hosted.snapshot(), None))

    def _done_with(self) -> list[str]:
        window = self._hosted.unacked_window()
        return [self._unacknowledged.popleft() for _ in range(len(self._unacknowledged) - window)]

    def commit(self) -> None:
        """Commit the steps that wait."""
        self._steps.commit()

    def _dead_letter(self, entry: Entry, error: str) -> None:
        self.context.log.error(
            "stage %s: entry %s of %s becomes a dead letter: %s", self._plan.name, entry.id, self.source, error
        )
        self.commit()
        position = position_of(entry, self.publisher.payload)
        # An entry with a known position is acknowledged together with the gap that replaces it.
        ids = [entry.id] if position is None else []
        foreign = position is None and not self._live
        step = self.publisher.step(Acknowledgement(self._upstream, ids))
        self._transport.dead_letter(step, with_pixels(entry, self.publisher.payload), error, foreign)
        self.context.count(DEAD_LETTERS)
        if position is not None:
            self._intake.seen = position
            header = decode(entry.fields, self.publisher.payload).header
            gap = Gap(header, "lost_frames", f"stage {self._plan.name} could not process it")
            self.work(Taken(entry.id, gap, position))

    def _let_go(self, entry: LetGo) -> None:
        counts = {**self.context.take_counts(), entry.count: 1} if entry.count else {}
        self._steps.add(Acknowledgement(self._upstream, [entry.id], entry.position, counts, read=self._inbox.read))

    def _is_new(self, entry: Entry) -> bool:
        position = position_of(entry, self.publisher.payload)
        return position is None or position > self._done
