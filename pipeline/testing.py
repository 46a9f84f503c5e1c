"""For tests of plug-ins, ours and yours: no Redis, no processes, no waiting."""

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
from pipeline.stage import Context, Options, Source, SourceInfo, Stage

T = TypeVar("T")
CLOCK_BEGIN_NS = 1_700_000_000_000_000_000


class FakeClock:
    """A clock that goes on when it is told to. Call it for seconds."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


class TestContext(Context):
    """A `pipeline.stage.Context` that keeps what the plug-in said, for assertions."""

    __test__ = False  # pytest: not a test class

    def __init__(
        self,
        *,
        stage: str = "stage",
        source: str = "source",
        input: str = "input",
        live: bool = False,
        needs: Iterable[str] = (),
        directory: Path | None = None,
        frames: Sequence[Frame | Gap] = (),
    ) -> None:
        """`frames` is what `reopen` gives; `directory` is where outputs go, by default a new temporary one."""
        self.stage = stage
        self.source = SourceInfo(source, input, input, live)
        self.policy: Literal["lossless", "live"] = "live" if live else "lossless"
        self.needs = frozenset(needs)
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
    """A Source that yields plain frames: ``frames`` of them, grey value = index."""

    class Options(Options):
        frames: int = 10
        width: int = 64
        height: int = 48

    def read(self, start_index: int) -> Iterator[Frame | Gap]:
        for index in range(start_index, self.options.frames):
            plane = np.full((self.options.height, self.options.width), index % 256, np.uint8)
            yield make_frame(plane, index, header=self.context.header(index, Fraction(1, 30)))


class ListSink(Stage):
    """A sink that keeps every message, in a list that its class holds by source name."""

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


def make_frame(picture: np.ndarray, index: int = 0, *, fps: int = 30, header: Header | None = None) -> Frame:
    """A Frame of uint8 (H, W) grey or (H, W, 3) RGB, with pts = index at `fps`."""
    height, width = picture.shape[:2]
    header = header or Header("source", index, Fraction(1, fps), CLOCK_BEGIN_NS, epoch=1, sequence=index + 1)
    grey = picture.ndim == 2
    return Frame(
        header, index, width, height, "gray8" if grey else "rgb24", (picture,), "bt709" if grey else "rgb", "pc"
    )


def run_stage(
    cls: type[Stage],
    messages: Iterable[Message],
    options: Mapping[str, Any] | None = None,
    context: TestContext | None = None,
    end: EndOfStream | None = None,
) -> list[Message]:
    """Run a stage over messages as a worker would, the end of the stream included, and return what it yields.

    Headers are numbered 1, 2, ... . `end` defaults to a normal end. Raises what the stage raises, and `AssertionError`
    where it breaks the promise that sequences grow.
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
    assert sequences == sorted(set(sequences)), f"{cls.__name__} yielded sequences that do not grow: {sequences}"
    return yielded
