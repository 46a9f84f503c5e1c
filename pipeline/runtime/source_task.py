"""One source at work: read frames, number them, publish them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from pipeline.config.plan import Plan
from pipeline.errors import InputError, LeaseLost
from pipeline.messages import EndOfStream, EndReason, Frame, Gap, Header
from pipeline.runtime.context import WorkerContext
from pipeline.runtime.hosted import HostedSource
from pipeline.runtime.metrics import ELAPSED_US, FRAMES
from pipeline.runtime.output_lock import run_of
from pipeline.runtime.publisher import Acknowledgement, Publisher
from pipeline.runtime.read_ahead import ReadAhead
from pipeline.stage import Source
from pipeline.transport.base import Commit, Position, Transport

_READ_AHEAD = 8
"""Messages that may be encoded but not yet published, so that decoding continues during a round trip to Redis.
Chosen by hand; `python -m benchmarks.bench_pipeline --only decode` shows its effect."""
_GATHER_SECONDS = 0.02
"""How long a message of a file may wait for others that share its commit. Chosen by hand: a round trip takes all
processes together a third of the time that decoding 1080p takes."""
_EPOCH_NS = 1_000_000
"""An epoch is when a numbering began, ms since 1970: a server that forgets everything twice within a second begins two.
Lua tells numbers to 14 digits."""


class SourceTask:
    """Runs a `Source` in its own threads, so that a silent camera blocks no other, nor Redis the decoder."""

    def __init__(
        self, plan: Plan, transport: Transport, source: str, stage: str, token: str, ring_directory: Path
    ) -> None:
        self.source = source
        self.error: BaseException | None = None
        self._transport = transport
        self._plan = plan.sources[source]
        self._context = WorkerContext(
            stage,
            self._plan,
            plan.output,
            plan.stages[stage].needs,
            plan.stages[stage].threads,
            on_status=lambda values: transport.set_status(source, stage, values),
            run=run_of(plan),
            run_directory=ring_directory,
        )
        transport.declare(source, stage, plan.stages[stage].readers)
        progress = transport.progress(source, stage)
        self.ended = progress.ended
        self._snapshot: dict[str, Any] = json.loads(progress.snapshot) if progress.snapshot else {"index": 0}
        self._position = progress.published if progress.published.epoch else Position(time.time_ns() // _EPOCH_NS, 0)
        self._time_base = Fraction(1)
        self._last_step = 0
        self._stopping = threading.Event()
        self._goes_on = threading.Event()
        self._read_ahead: ReadAhead[Commit | BaseException | None] = ReadAhead(
            _READ_AHEAD,
            _GATHER_SECONDS if self._plan.policy == "lossless" else 0.0,
            ends=lambda item: not isinstance(item, Commit),
        )
        self.publisher = Publisher(plan, transport, source, stage, token, ring_directory)
        self._hosted = self._host(stage)
        self._source = self._hosted.source
        self._source.delivered = self._delivered()
        self._thread = threading.Thread(target=self._run, name=f"source {source}", daemon=True)

    def _host(self, stage: str) -> HostedSource:
        plan = self._plan
        assert issubclass(plan.cls, Source)
        return HostedSource(stage, plan.use, plan.cls, plan.options, self._context)

    def start(self) -> None:
        """Begin, or continue where the previous worker died."""
        if not self.ended:
            self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """Ask the source to end. Its stream then ends with the reason ``stopped``."""
        self._stopping.set()
        self._source.stop()

    def restart(self) -> None:
        """Ask the source to end without an end of its stream: whoever takes it up next goes on with it."""
        self._goes_on.set()
        self._source.stop()

    @property
    def delivered(self) -> int:
        """Number of frames so far, over all workers."""
        return int(self._snapshot["index"])

    def fail(self, error: str) -> None:
        """End the stream of a source that has failed for good. Its threads have ended."""
        self._context.status(error=error)
        self._end("failed", error)

    def lose(self) -> None:
        """Stop without publishing an end: the lease is lost."""
        self.publisher.lose()
        self._source.stop()

    def close(self) -> None:
        """Wait for the threads and release everything."""
        if self._thread.ident is not None:
            self._thread.join()
        self._context.close()
        self.publisher.close()

    def _run(self) -> None:
        try:
            end = self._publish_all()
            if not self._goes_on.is_set():
                self._end(*end)
        except LeaseLost:
            pass
        except BaseException as error:
            self.error = error
        finally:
            self._source.close()

    def _publish_all(self) -> tuple[EndReason, str | None]:
        """Publish what the reader hands over, several at once where several wait, until it says how it ended."""
        reader = threading.Thread(target=self._read, name=f"reader {self.source}", daemon=True)
        reader.start()
        try:
            while True:
                items = self._read_ahead.take(self.publisher.at_once)
                commits = [item for item in items if isinstance(item, Commit)]
                if commits:
                    self.publisher.send(commits)
                if len(commits) < len(items):
                    return self._how_it_ended(items[-1])
        finally:
            self._read_ahead.give_up()
            self._source.stop()
            reader.join()

    def _read(self) -> None:
        """Read ahead a little: decoding goes on while Redis is waited for. Whatever ends it is handed over, too."""
        ended: BaseException | None = None
        try:
            for commit in self._commits():
                if not self._read_ahead.put(commit) or self._stopping.is_set() or self._goes_on.is_set():
                    break
        except BaseException as error:
            ended = error
        self._read_ahead.put(ended)

    def _commits(self) -> Iterator[Commit]:
        """Read, and make ready to be published."""
        for count, item in enumerate(self._hosted.read(self._snapshot["index"])):
            yield self._prepare(item)
            if count == 0:
                with self._hosted.calling("frame_count"):
                    self._expect(self._source.frame_count())

    def _how_it_ended(self, error: Commit | BaseException | None) -> tuple[EndReason, str | None]:
        if isinstance(error, InputError):
            self._context.status(error=str(error))
            return "failed", str(error)
        if isinstance(error, BaseException):
            raise error
        return ("stopped" if self._stopping.is_set() else "end"), None

    def _prepare(self, item: Frame | Gap) -> Commit:
        # Copies the pixels before the source is asked for more, since it may reuse its buffers.
        header = self._stamp(item.header)
        self._time_base = header.time_base
        counts = self._context.take_counts()
        if isinstance(item, Frame):
            now = time.monotonic_ns()
            counts |= {FRAMES: 1, ELAPSED_US: (now - (self._last_step or now)) // 1000}
            self._last_step = now
            self._snapshot = {"index": int(item.index) + 1, **header.to_json()}
        step = Acknowledgement(processed=self._position, counts=counts, snapshot=json.dumps(self._snapshot))
        return self.publisher.prepare(replace(item, header=header), step)

    def _delivered(self) -> Header | None:
        last = {name: value for name, value in self._snapshot.items() if name != "index"}
        return Header.from_json({"source": self.source, **last}) if last else None

    def _end(self, reason: EndReason, error: str | None) -> None:
        header = self._stamp(Header(self.source, None, self._time_base, time.time_ns()))
        counts = self._context.take_counts()
        self._context.status(end=reason)
        step = Acknowledgement(processed=self._position, counts=counts, ended=True)
        self.publisher.publish(EndOfStream(header, reason, error), step)
        self.ended = True

    def _stamp(self, header: Header) -> Header:
        self._position = Position(self._position.epoch, self._position.sequence + 1)
        return replace(header, epoch=self._position.epoch, sequence=self._position.sequence)

    def _expect(self, frames: int | None) -> None:
        if frames is not None:
            self._context.status(frames_expected=frames)
