"""What a plug-in implements, and what it can rely on.

A plug-in is a `Source`, which produces frames, or a `Stage`, which reads one stream and writes one. The pipeline
creates one object per source of video and calls it from one thread, in order. The stages of one process are never
called for two sources at once.
"""

from __future__ import annotations

import logging
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeVar, get_args

from pydantic import BaseModel, ConfigDict

from pipeline.errors import PluginError
from pipeline.messages import EndOfStream, Frame, Gap, Header, Message

T = TypeVar("T")
Accuracy = Literal["coarse", "cells", "full"]
"""How exact flow has to be, from cheap to dear. ``coarse``: within about a pixel over the frame, for what registers the
frames itself. ``cells``: right in each cell of the 8 px grid, small objects included. ``full``: as exact as it can
be."""
ACCURACIES: tuple[Accuracy, ...] = get_args(Accuracy)

VIDEO_SUFFIXES = frozenset(
    (".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg")
    + (".mts", ".mxf", ".ogv", ".ts", ".webm", ".wmv", ".y4m")
)
"""Of files that are videos, whatever is in them."""


@dataclass(frozen=True)
class Demand:
    """What the readers of a stage ask for by `Stage.accuracy`."""

    accuracy: Accuracy = "full"
    """The strictest of it."""
    readers: tuple[str, ...] = ()
    """Those that ask for that."""
    also: tuple[Accuracy, ...] = ()
    """What the others ask for."""


FULL_DEMAND = Demand()
"""Of readers that say nothing, or of none."""


def demand_of(accuracies: Mapping[str, Accuracy]) -> Demand:
    """The demand of readers by name; ``full`` where there are none."""
    asked: tuple[Accuracy, ...] = tuple(each for each in ACCURACIES if each in accuracies.values())
    if not asked:
        return FULL_DEMAND
    readers = tuple(name for name, each in accuracies.items() if each == asked[-1])
    return Demand(asked[-1], readers, asked[:-1])


class Options(BaseModel):
    """Base class of a plug-in's options: subclass it inside the plug-in as ``class Options(stage.Options)``.

    Describe every field with its unit: ``Field(0.5, ge=0, description="delay, s")``. Unknown keys are refused.
    `raftline stages NAME` prints the fields.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


@dataclass(frozen=True)
class SourceInfo:
    """The source of video that a plug-in object works on."""

    name: str
    """Fit to name files: letters of any language, no separators, no control characters."""
    input: str = field(repr=False)
    """Path, URL or device as the user gave it. May contain a password: log `display` instead."""
    display: str
    """`input` without its password."""
    live: bool
    """True for a camera: it cannot be paused or read a second time."""
    once: bool = False
    """True: a live source that does not come ends with an error, rather than trying for ever."""


class Output(Protocol):
    """A file that appears under its final name only when it is complete."""

    path: Path
    """Final name."""
    part: Path
    """Write here until the file is complete (``.part``). It survives a killed worker; its directory exists."""

    def finish(self) -> None:
        """Move `part` to `path`, replacing any older file, and list it in the run's summary.

        Raises:
            OutputError: If the file cannot be moved.
        """

    def discard(self) -> None:
        """Remove `part`."""


class Context(Protocol):
    """What the pipeline provides to a plug-in, as ``self.context``."""

    stage: str
    """Name of the stage in the configuration."""
    source: SourceInfo
    policy: Literal["lossless", "live"]
    needs: frozenset[str]
    """Optional fields that readers of this stage ask for: the union of their `Stage.needs`."""
    threads: int
    """Threads to compute with, at least 1: this worker's share of the cores. The pools of numpy, torch, OpenCV and
    numba are limited to it already; give it to whatever opens a pool of its own, such as FFmpeg."""
    demand: Demand
    """How exact the flow has to be that this stage writes."""
    log: logging.Logger

    def header(
        self, pts: int | None, time_base: Fraction, arrival_ns: int | None = None, ntp_ns: int | None = None
    ) -> Header:
        """Create the header of a new frame. For sources.

        Args:
            pts: Presentation time in units of `time_base`; None if unknown.
            time_base: Seconds per unit of `pts`.
            arrival_ns: Wall clock when the frame arrived, ns since 1970; now by default.
            ntp_ns: The sender's wall clock, ns since 1970, if known.
        """
        ...

    def output(self, template: str) -> Output:
        """Prepare an output file in the output directory.

        Args:
            template: Relative path. ``{source}`` and ``{stage}`` are filled in, missing directories are created.

        Raises:
            OutputError: If the directory cannot be created.
        """
        ...

    def reopen(self) -> Iterator[Frame | Gap]:
        """Read the source's frames again from index 0.

        Raises:
            ConfigError: If the source is live.
        """
        ...

    def run_folder(self, name: str, most_bytes: int = 0) -> Path | None:
        """A folder of this source that all stages on this machine share, for what readers follow without Redis.

        It is removed with the run, and survives a restart of the stage.

        Args:
            name: Of its kind; letters and digits.
            most_bytes: That will be written into it. It lies in memory if they fit there, else on disk.

        Returns:
            Its path; it is made only if `most_bytes` is given. None where the run has no directory: in one process.
        """
        ...

    def shared(self, key: str, make: Callable[[], T]) -> T:
        """Return the object stored under `key`, calling `make` once per process.

        Use it for what all sources of a stage share, such as a network.
        """
        ...

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter in the summary, such as ``corrupt_packets``. Stored with the next acknowledgement."""
        ...

    def status(self, **values: str | int | float | bool) -> None:
        """Report how the stage runs, such as its device or a fallback. Shown in the status and the summary."""
        ...


def _own_file(cls: type, name: str) -> Path:
    folders = []
    for base in cls.__mro__:
        file = getattr(sys.modules.get(base.__module__), "__file__", None)
        if file is not None and issubclass(base, (Stage, Source)) and base not in (Stage, Source):
            folders.append(Path(file).resolve().parent)
    for folder in folders:
        if (folder / name).exists():
            return folder / name
    beside = "; ".join(dict.fromkeys(map(str, folders)))
    raise PluginError(f"{cls.__name__} needs its file {name!r}, which is not in {beside}; copy it there")


class Source(ABC):
    """Produces frames: a decoder, a renderer, a screen grabber."""

    class Options(Options):
        pass

    work: ClassVar[float] = 1.0
    """CPU time per frame relative to other stages, by which the cores are shared: 1 for most, 10 for optical flow."""
    delivered: Header | None = None
    """Header of the last frame delivered before a restart; None at first. Set before `read`. A live source continues
    its timestamps from here."""

    @classmethod
    def modules(cls, given: Mapping[str, Any]) -> Iterable[str]:
        """Names of modules that `open` will import, if they take long to load. They are loaded before workers start.

        Args:
            given: The options as the user wrote them, not checked.
        """
        return ()

    @classmethod
    def own_file(cls, name: str) -> Path:
        """A file that comes with the plug-in, such as a model or a table: `name`, beside the module of its class.

        Raises:
            PluginError: If it is not there.
        """
        return _own_file(cls, name)

    def __init__(self, options: Any, context: Context) -> None:
        self.options = options
        self.context = context

    @classmethod
    def is_live(cls, input: str) -> bool:
        """Whether this input cannot wait for slow readers. Decides the policy if the configuration says ``auto``."""
        return False

    @classmethod
    def check_input(cls, input: str, display: str) -> None:
        """Refuse an input that is wrong on sight, such as a missing file. Called before anything starts.

        Args:
            input: Path, URL or device as the user gave it.
            display: The same without its password, for the error message.

        Raises:
            InputError: If the input is wrong.
        """

    @classmethod
    def left_out(cls, path: str) -> str | None:
        """Why `raftline batch` leaves out a file that it finds in a folder, such as ``no video``; None to read it.

        By default the suffix decides: `VIDEO_SUFFIXES` are read.
        """
        return None if Path(path).suffix.lower() in VIDEO_SUFFIXES else "no video"

    @abstractmethod
    def read(self, start_index: int) -> Iterator[Frame | Gap]:
        """Yield frames in order, with `Frame.index` counting from 0 and headers from `Context.header`.

        May block. If no frame arrives for more than a second, it must still end soon after `stop()`.

        Args:
            start_index: Index of the first frame to yield; greater than 0 after a restart. A file continues with
                exactly that frame (same pts, same pixels). A live source yields a `Gap`, then counts on from there.

        Raises:
            InputError: If the input is unusable.
        """

    def frame_count(self) -> int | None:
        """Approximate number of frames, for a progress bar; None if unknown. Called once, after `read` began."""
        return None

    def stop(self) -> None:
        """Make `read` end soon. Called from another thread. Frames yielded until then are still used."""

    def close(self) -> None:
        """Release all resources. Called exactly once, even after an error."""


class Stage(ABC):
    """Reads one stream and writes one stream.

    Every message is delivered once, in order; with the policy ``live``, the oldest messages are dropped if the stage
    is late. After a crash the pipeline creates a new object, calls `restore` with the last snapshot, and delivers all
    unacknowledged messages again, beginning with the unacknowledged window (`unacked_window`). Output for a sequence
    that was already published is dropped.
    """

    class Options(Options):
        pass

    reads: ClassVar[tuple[type, ...]] = ()
    """Message classes that `process` accepts. Gap and EndOfStream go to `gap` and `flush` instead."""
    writes: ClassVar[type | None] = None
    """Message class that the stage yields; None for a sink."""
    needs: ClassVar[frozenset[str]] = frozenset()
    """Optional, costly fields that the stage reads: ``flow``, ``confidence``, ``original``."""
    work: ClassVar[float] = 1.0
    """CPU time per frame relative to other stages, by which the cores are shared: 1 for most, 10 for optical flow."""
    accuracy: ClassVar[Accuracy] = "full"
    """How exact the flow has to be that the stage reads. The strictest reader of a stage decides, unless the user sets
    the options of the flow."""
    snapshot_bytes: ClassVar[int] = 64_000
    """Most that `snapshot` may take as JSON. It is stored with every message, so a stage that allows itself more, for
    state that grows with what it sees, pays for it with every message."""
    takes_10_bits: ClassVar[bool] = False
    """Whether frames may be ``yuv420p10``. Otherwise those are rounded to ``yuv420p`` before the stage sees them."""
    passes_gaps: ClassVar[bool] = True
    """Set to False if the stage may yield messages from before a gap after it; it then yields the gaps itself."""

    @classmethod
    def modules(cls, given: Mapping[str, Any]) -> Iterable[str]:
        """Names of modules that `open` will import, if they take long to load. They are loaded before workers start.

        Args:
            given: The options as the user wrote them, not checked.
        """
        return ()

    @classmethod
    def yields_at_end(cls, options: Any) -> bool:
        """Whether it yields nothing of a file before the file's end: stages after it then have the cores to themselves.

        Args:
            options: The checked options.
        """
        return False

    @classmethod
    def in_one_process(cls, options: Any) -> bool:
        """Whether one worker should have all sources, as where they share a GPU. Otherwise several share them.

        Args:
            options: The checked options.
        """
        return False

    @classmethod
    def own_file(cls, name: str) -> Path:
        """A file that comes with the plug-in, such as a model or a table: `name`, beside the module of its class.

        Raises:
            PluginError: If it is not there.
        """
        return _own_file(cls, name)

    def __init__(self, options: Any, context: Context) -> None:
        self.options = options
        self.context = context

    def open(self) -> None:
        """Load whatever is slow to load. Called once in the worker, before the first message.

        Raises:
            UserError: If the user has to fix something.
        """

    @abstractmethod
    def process(self, message: Any) -> Iterable[Message]:
        """Handle one message and yield any number of messages.

        Give each the header of the message it was made from; sequences must increase strictly. A message's arrays
        are valid only while it is being processed or lies in the unacknowledged window.
        """

    @classmethod
    def prepare_batch(cls, waiting: Sequence[tuple[Stage, Message]]) -> None:
        """Compute the results of several sources in one pass, for example to fill a GPU.

        Called when messages of several sources wait in one worker, before `process` is called for each of them. Keep
        each result in its stage object until `process` asks for it. This is only an optimization: the pipeline never
        waits to fill a batch, and a message that comes alone, or again after a crash, is processed without it.

        Args:
            waiting: The stage object of each source, with the message that it will process next.
        """

    def gap(self, gap: Gap) -> Iterable[Message]:
        """Handle a break in continuous motion. The gap is passed on after the messages that this yields."""
        return ()

    def flush(self, end: EndOfStream) -> Iterable[Message]:
        """Yield what is still held: the source has ended. `end` is passed on afterwards.

        If ``end.reason == "failed"``, discard the outputs. This may take long: each message is published as it is
        yielded.
        """
        return ()

    def unacked_window(self) -> int:
        """Number of the latest messages, gaps included, that the stage still needs.

        They stay unacknowledged: their pixels are kept, and after a crash they are delivered again, oldest first,
        before anything new.
        """
        return 0

    def snapshot(self) -> Mapping[str, Any] | None:
        """State after the latest message as JSON values (at most `snapshot_bytes`), stored with its acknowledgement.

        None: there is none.

        After a crash, the unacknowledged window is delivered again although the snapshot already covers it. Recognize
        these messages by ``header.sequence``.
        """
        return None

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Take over from a worker that died: called after `open`, with its last snapshot."""

    def close(self) -> None:
        """Release all resources. Called exactly once, even after an error. Must not yield."""
