"""One source at work: read frames, number them, publish."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from pipeline.config.plan import Plan
from pipeline.context import WorkerContext
from pipeline.errors import InputError, LeaseLost
from pipeline.messages import EndOfStream, EndReason, Frame, Gap, Header
from pipeline.metrics import ELAPSED_US, FRAMES
from pipeline.publisher import Acknowledgement, Publisher
from pipeline.stage import Source
from pipeline.transport.base import Position, Transport


class SourceLane:
    """Runs a `Source` in a thread of its own, so that one silent camera does not hold up the others."""

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
            on_status=lambda values: transport.set_status(source, stage, values),
        )
        transport.declare(source, stage, plan.stages[stage].readers)
        progress = transport.progress(source, stage)
        self.ended = progress.ended
        self._snapshot: dict[str, Any] = json.loads(progress.snapshot) if progress.snapshot else {"index": 0}
        self._position = progress.published if progress.published.epoch else Position(int(time.time()), 0)
        self._time_base = Fraction(1)
        self._last_step = 0
        self._stopping = threading.Event()
        self.publisher = Publisher(plan, transport, source, stage, token, ring_directory)
        self._source: Source = self._plan.cls(self._plan.options, self._context)  # type: ignore[assignment]
        self._source.delivered = self._delivered()
        self._thread = threading.Thread(target=self._run, name=f"source {source}", daemon=True)

    def start(self) -> None:
        """Begin, or go on where the worker before died."""
        if not self.ended:
            self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """Ask the source to end; its stream then ends with reason ``stopped``."""
        self._stopping.set()
        self._source.stop()

    def lose(self) -> None:
        """The lease is gone: stop without a word in the stream."""
        self.publisher.lose()
        self._source.stop()

    def close(self) -> None:
        """Wait for the thread and release everything."""
        if self._thread.ident is not None:
            self._thread.join()
        self.publisher.close()

    def _run(self) -> None:
        try:
            self._end(*self._read())
        except LeaseLost:
            pass
        except BaseException as error:
            self.error = error
        finally:
            self._source.close()

    def _read(self) -> tuple[EndReason, str | None]:
        try:
            for count, item in enumerate(self._source.read(self._snapshot["index"])):
                self._publish(item)
                if count == 0:
                    self._expect(self._source.frame_count())
                if self._stopping.is_set():
                    return "stopped", None
        except InputError as error:
            self._context.status(error=str(error))
            return "failed", str(error)
        return ("stopped" if self._stopping.is_set() else "end"), None

    def _publish(self, item: Frame | Gap) -> None:
        header = self._stamp(item.header)
        self._time_base = header.time_base
        counts = self._context.take_counts()
        if isinstance(item, Frame):
            now = time.monotonic_ns()
            self._snapshot = {
                "index": item.index + 1,
                "pts": header.pts,
                "time_base": str(header.time_base),
                "arrival_ns": header.arrival_ns,
            }
            counts |= {FRAMES: 1, ELAPSED_US: (now - (self._last_step or now)) // 1000}
            self._last_step = now
        step = Acknowledgement(processed=self._position, counts=counts, snapshot=json.dumps(self._snapshot))
        self.publisher.publish(replace(item, header=header), step)

    def _delivered(self) -> Header | None:
        last = self._snapshot
        if "pts" not in last:
            return None
        return Header(self.source, last["pts"], Fraction(last["time_base"]), last["arrival_ns"])

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
