"""Test your plug-ins with these: no Redis, no processes, no waiting."""

from __future__ import annotations

import logging
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from pipeline.messages import EndOfStream, Frame, Gap, Header, Message
from pipeline.runtime.output import OutputFile
from pipeline.stage import FULL_DEMAND, Context, Demand, Options, Source, SourceInfo, Stage

T = TypeVar("T")
CLOCK_BEGIN_NS = 1_700_000_000_000_000_000
"""Wall clock of test headers, ns since 1970: a fixed moment in November 2023, so that tests repeat exactly."""


class FakeClock:
    """A clock that only `advance` moves. Call it to get the time in s."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self.seconds += seconds


class TestContext(Context):
    """A `pipeline.stage.Context` that records what a plug-in reports.

    Assert on `counts`, `said` (what `status` was given) and `outputs` (files that were finished).
    """

    __test__ = False  # pytest: not a test class

    def __init__(
        self,
        *,
        stage: str = "stage",
        source: str = "source",
        input: str = "input",
        live: bool = False,
        needs: Iterable[str] = (),
        demand: Demand = FULL_DEMAND,
        directory: Path | None = None,
        frames: Sequence[Frame | Gap] = (),
    ) -> None:
        """Create a context.

        Args:
            stage: Name of the stage.
            source: Name of the source.
            input: The source's input.
            live: Whether the source is a camera; sets the policy.
            needs: Fields that readers of the stage ask for.
            demand: How exact the readers need the flow.
            directory: Where outputs go; by default a temporary directory that is removed with the context.
            frames: What `reopen` returns.
        """
        self.stage = stage
        self.source = SourceInfo(source, input, input, live)
        self.policy: Literal["lossless", "live"] = "live" if live else "lossless"
        self.needs = frozenset(needs)
        self.threads = 1
        self.demand = demand
        self.log = logging.getLogger(f"raftline.{stage}")
        self.directory = directory or self._temporary_directory()
        self.frames = frames
        self.counts: dict[str, int] = {}
        self.said: dict[str, str | int | float | bool] = {}
        self.outputs: list[Path] = []
        self._shared: dict[str, Any] = {}

    def _temporary_directory(self) -> Path:
        path = Path(tempfile.mkdtemp(prefix="raftline-test-"))
        weakref.finalize(self, shutil.rmtree, path, True)
        return path

    def header(
        self, pts: int | None, time_base: Fraction, arrival_ns: int | None = None, ntp_ns: int | None = None
    ) -> Header:
        return Header(self.source.name, pts, time_base, arrival_ns or CLOCK_BEGIN_NS, ntp_ns=ntp_ns)

    def output(self, template: str) -> OutputFile:
        path = self.directory / template.format(source=self.source.name, stage=self.stage)
        return OutputFile(path, self.outputs.append)

    def reopen(self) -> Iterator[Frame | Gap]:
        return iter(self.frames)

    def shared(self, key: str, make: Callable[[], T]) -> T:
        if key not in self._shared:
            self._shared[key] = make()
        return self._shared[key]

    def count(self, name: str, by: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + by

    def status(self, **values: str | int | float | bool) -> None:
        self.said.update(values)


class ScriptedSource(Source):
    """A Source that yields uniform gray frames whose value is their index (modulo 256)."""

    class Options(Options):
        frames: int = 10
        width: int = 64
        height: int = 48

    def read(self, start_index: int) -> Iterator[Frame | Gap]:
        for index in range(start_index, self.options.frames):
            plane = np.full((self.options.height, self.options.width), index % 256, np.uint8)
            yield make_frame(plane, index, header=self.context.header(index, Fraction(1, 30)))


class ListSink(Stage):
    """A sink that collects every message in ``ListSink.received[SOURCE]``. Clear the dictionary between tests."""

    reads = (Message,) if isinstance(Message, type) else Message.__args__  # type: ignore[attr-defined]
    received: dict[str, list[Message]] = {}

    def process(self, message: Message) -> Iterable[Message]:
        self._keep(message)
        return ()

    def gap(self, gap: Gap) -> Iterable[Message]:
        self._keep(gap)
        return ()

    def flush(self, end: EndOfStream) -> Iterable[Message]:
        self._keep(end)
        return ()

    def _keep(self, message: Message) -> None:
        self.received.setdefault(self.context.source.name, []).append(message)


def make_frame(image: np.ndarray, index: int = 0, *, fps: int = 30, header: Header | None = None) -> Frame:
    """Make a Frame from an array.

    Args:
        image: uint8, (H, W) gray or (H, W, 3) RGB.
        index: Index of the frame, and its pts in units of 1 / `fps`.
        fps: Frames per second.
        header: Used instead of a new one.
    """
    height, width = image.shape[:2]
    header = header or Header("source", index, Fraction(1, fps), CLOCK_BEGIN_NS, epoch=1, sequence=index + 1)
    gray = image.ndim == 2
    return Frame(header, index, width, height, "gray8" if gray else "rgb24", (image,), "bt709" if gray else "rgb", "pc")


def run_stage(
    cls: type[Stage],
    messages: Iterable[Message],
    options: Mapping[str, Any] | None = None,
    context: TestContext | None = None,
    end: EndOfStream | None = None,
) -> list[Message]:
    """Run a stage over messages as a worker would, including the end of the stream.

    Args:
        cls: The stage's class.
        messages: What it reads. Their sequences are renumbered 1, 2, ...
        options: Its options; the defaults otherwise.
        context: Its context; a new `TestContext` otherwise.
        end: How the stream ends; normally by default.

    Returns:
        All messages that the stage yields.

    Raises:
        AssertionError: If the sequences of these messages do not increase strictly.
    """
    stage = cls(cls.Options(**(options or {})), context or TestContext())
    yielded: list[Message] = []
    last: Header | None = None
    try:
        stage.open()
        for sequence, message in enumerate(messages, 1):
            last = replace(message.header, epoch=1, sequence=sequence)
            message = replace(message, header=last)
            yielded += stage.gap(message) if isinstance(message, Gap) else stage.process(message)
        header = Header("source", None, Fraction(1), CLOCK_BEGIN_NS) if last is None else last
        header = replace(header, epoch=1, sequence=header.sequence + 1)
        yielded += stage.flush(replace(end, header=header) if end else EndOfStream(header))
    finally:
        stage.close()
    sequences = [message.header.sequence for message in yielded]
    assert sequences == sorted(set(sequences)), f"{cls.__name__} yielded sequences that do not increase: {sequences}"
    return yielded
