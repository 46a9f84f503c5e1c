"""Test your plug-ins with these: no Redis, no processes, no waiting.

They call a plug-in as a run does, and hold it to the same contract: what is refused there is refused here.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from pipeline.config import load_config, make_plan
from pipeline.errors import ConfigError, InputError
from pipeline.messages import MESSAGE_TYPES, EndOfStream, Frame, Gap, Header, Message
from pipeline.rehearsal import Rehearsal
from pipeline.runtime.hosted import HostedStage
from pipeline.runtime.in_process import InProcessRun
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
        return OutputFile(path, self.outputs.append, finished_before=path in self.outputs)

    def reopen(self) -> Iterator[Frame | Gap]:
        return iter(self.frames)

    def may_tell(self, key: str, seen_at: float) -> bool | None:
        return True

    def holds_source(self) -> bool | None:
        return None

    def run_folder(self, name: str, most_bytes: int = 0) -> Path | None:
        folder = self.directory / "run" / name
        if most_bytes:
            folder.mkdir(parents=True, exist_ok=True)
        return folder

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
    *,
    killed_after: Collection[int] = (),
    checkpoint_every: int = 3,
) -> list[Message]:
    """Run a stage over messages as a worker would, including the end of the stream.

    To test that a crash changes nothing, compare what it yields with kills and without.

    Args:
        cls: The stage's class.
        messages: What it reads. Their sequences are renumbered 1, 2, ..., and their arrays are read-only.
        options: Its options; the defaults otherwise.
        context: Its context; a new `TestContext` otherwise.
        end: How the stream ends; normally by default.
        killed_after: Numbers of messages, counted from 0, after which the worker is killed, at the worst moment: what
            they led to is published, the state not kept. The stage then goes on as after a crash. The end counts, too.
        checkpoint_every: How many messages from one `Stage.checkpoint` to the next.

    Returns:
        All messages that the stage yields.

    Raises:
        AssertionError: If the sequences of these messages do not increase strictly, or a message that is delivered
            again leads to something else.
        PluginError: If the stage breaks its contract in another way, in the words of a run.
    """
    context = context or TestContext()
    made_options = cls.Options(**(options or {}))
    rehearsal = Rehearsal(
        lambda: HostedStage(cls.__name__, cls.__module__, cls, made_options, context), checkpoint_every
    )
    yielded: list[Message] = []
    last: Header | None = None
    try:
        rehearsal.open()
        for number, message in enumerate(messages):
            last = replace(message.header, epoch=1, sequence=number + 1)
            yielded += rehearsal.deliver(_read_only(replace(message, header=last)))
            if number in killed_after:
                counts = dict(context.counts)
                rehearsal.kill()
                context.counts = counts  # what is processed again counts once
        header = Header("source", None, Fraction(1), CLOCK_BEGIN_NS) if last is None else last
        header = replace(header, epoch=1, sequence=header.sequence + 1)
        yielded += rehearsal.deliver(replace(end, header=header) if end else EndOfStream(header))
        if header.sequence - 1 in killed_after:
            counts = dict(context.counts)
            rehearsal.kill()
            context.counts = counts
    finally:
        rehearsal.hosted.stage.close()
    sequences = [message.header.sequence for message in yielded]
    assert sequences == sorted(set(sequences)), f"{cls.__name__} yielded sequences that do not increase: {sequences}"
    return yielded


def _read_only(value: Any) -> Any:
    """A message with arrays that cannot be written, as those of a message that was received."""
    if isinstance(value, np.ndarray):
        view = value.view()
        view.flags.writeable = False
        return view
    if isinstance(value, MESSAGE_TYPES):
        return replace(value, **{each.name: _read_only(getattr(value, each.name)) for each in fields(value)})
    if isinstance(value, (tuple, list)):
        return tuple(_read_only(each) for each in value)
    return {key: _read_only(each) for key, each in value.items()} if isinstance(value, dict) else value


def run_pipeline(
    config: str | Path,
    stage: str | None = None,
    *,
    overrides: Sequence[str] = (),
    inputs: Sequence[str] = (),
    output: str | Path | None = None,
) -> list[Message]:
    """Run a whole configuration in this thread, without Redis, as ``raftline run CONFIG --in-process`` does.

    Args:
        config: The YAML file.
        stage: The stage whose messages are wanted; None for none, where it is the files that count.
        overrides: As ``--set`` takes them.
        inputs: As ``-i`` takes them.
        output: Directory for results, as ``-o`` takes it.

    Returns:
        The messages of `stage`, its gaps and its `EndOfStream` included; of several sources one after another as they
        came. Get their arrays by ``numpy.asarray``.

    Raises:
        PluginError: What a stage raised; that is its cause.
        UserError: If the configuration is wrong, or an input cannot be read.
    """
    directory = None if output is None else Path(output)
    plan = make_plan(load_config(config, overrides=overrides, inputs=inputs, output=directory))
    if stage is not None and stage not in plan.stages:
        raise ConfigError(f"{config}: there is no stage {stage!r}; the stages: {', '.join(plan.stages)}")
    with InProcessRun(plan, {stage: frozenset()} if stage is not None else None, in_turns=True) as run:
        messages = [message for _, message in run.messages()]
        for source in run.summary().values():
            if source["state"] == "failed":
                raise InputError(source["error"])
    return messages
