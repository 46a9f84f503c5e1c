"""What a plug-in implements, and the promise it gets.

A plug-in is a `Source` (makes frames) or a `Stage` (reads one stream, writes one stream). The machine makes one
object per source, calls it from one thread, in order, and never for two sources at once.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from pipeline.messages import EndOfStream, Frame, Gap, Header, Message

T = TypeVar("T")


class Options(BaseModel):
    """Base of a plug-in's options: subclass it inside the plug-in as ``class Options(Options)``.

    Every field carries a description with its unit (``Field(0.5, description="... in seconds", ge=0)``). Unknown keys
    are refused; `raftline stages NAME` prints them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


@dataclass(frozen=True)
class SourceInfo:
    """The source that an object works for."""

    name: str
    """``[A-Za-z0-9_.-]+``"""
    input: str = field(repr=False)
    """What the user gave: a path, a URL, a device. May hold a password: never log it; log `display`."""
    display: str
    """`input` without password."""
    live: bool
    """A camera: it cannot wait and cannot be read again."""


class Output(Protocol):
    """A file that appears under its name only when it is complete."""

    path: Path
    """The final name."""
    part: Path
    """Where to write until then (``.part``). It survives a killed worker; its directory exists."""

    def finish(self) -> None:
        """Move `part` to `path`, replacing what was there, and list it in the summary. Raises `OutputError`."""

    def discard(self) -> None:
        """Remove `part`."""


class Context(Protocol):
    """What the machine gives to a plug-in."""

    stage: str
    """Name of the stage in the configuration."""
    source: SourceInfo
    policy: Literal["lossless", "live"]
    needs: frozenset[str]
    """What the readers of this stage ask for: the union of their `Stage.needs`."""
    log: logging.Logger

    def header(
        self, pts: int | None, time_base: Fraction, arrival_ns: int | None = None, ntp_ns: int | None = None
    ) -> Header:
        """A header for a frame of this source; `arrival_ns` defaults to now. For sources."""
        ...

    def output(self, template: str) -> Output:
        """An output file; ``{source}`` and ``{stage}`` in the template are filled in. Directories are made."""
        ...

    def reopen(self) -> Iterator[Frame | Gap]:
        """The source's frames again from index 0. Raises `ConfigError` for a live source."""
        ...

    def shared(self, key: str, make: Callable[[], T]) -> T:
        """One object per process and key: a network that all sources of this stage use."""
        ...

    def count(self, name: str, by: int = 1) -> None:
        """Count something that the summary should show, such as ``corrupt_packets``. Committed with the next
        message."""
        ...

    def status(self, **values: str | int | float | bool) -> None:
        """Say something about how the stage runs (device, a fallback); shown by the status and the summary."""
        ...


class Source(ABC):
    """Makes frames: a decoder, a renderer, a screen grabber."""

    class Options(Options):
        pass

    delivered: Header | None = None
    """Header of the last frame delivered before a restart, set before `read`; a live source's times go on from it."""

    def __init__(self, options: Any, context: Context) -> None:
        self.options = options
        self.context = context

    @classmethod
    def is_live(cls, input: str) -> bool:
        """Whether this input cannot wait. Decides the policy where the configuration says ``auto``."""
        return False

    @classmethod
    def check_input(cls, input: str, display: str) -> None:
        """Refuse an input that can be seen to be wrong without opening it, such as a file that is not there: a run
        asks before it starts anything. `display` is the input without passwords. Raises `InputError`."""

    @abstractmethod
    def read(self, start_index: int) -> Iterator[Frame | Gap]:
        """Yield frames in order, with `Frame.index` counting from 0 and headers from `Context.header`.

        Frames before `start_index` were delivered before a restart: a file goes on exactly there (same pts, same
        pixels); a live source counts on from it, after a `Gap`. May block; between two frames at most a second, unless
        nothing
        comes, and must then end soon after `stop()`. Raises `InputError` if the input is not usable.
        """

    def frame_count(self) -> int | None:
        """About how many frames there are, for a progress bar; None if it cannot be known. Called once, after `read`
        began."""
        return None

    def stop(self) -> None:
        """Called from another thread: let `read` end soon. What it yields until then is still used."""

    def close(self) -> None:
        """Release everything. Always called, once, also after an error."""


class Stage(ABC):
    """Reads one stream and writes one stream.

    Delivery: every message once, in order (policy ``live``: newest kept, oldest dropped). After a crash the machine
    makes a
    new object, calls `restore` with the last snapshot, and delivers again what was not yet acknowledged, the retained
    messages
    first. What the stage yields for a sequence that was published already is dropped.
    """

    class Options(Options):
        pass

    reads: ClassVar[tuple[type, ...]] = ()
    """Message classes that `process` takes. Gap and EndOfStream come through methods of their own."""
    writes: ClassVar[type | None] = None
    """Message class that it yields; None for a sink."""
    needs: ClassVar[frozenset[str]] = frozenset()
    """Costly fields it wants filled: ``flow``, ``confidence``, ``original``."""
    passes_gaps: ClassVar[bool] = True
    """False for a stage that yields messages from before a gap after it: it then yields the gaps itself, in order."""

    def __init__(self, options: Any, context: Context) -> None:
        self.options = options
        self.context = context

    def open(self) -> None:
        """Called once before the first message, in the worker. Load what is slow to load here. May raise
        `UserError`."""

    @abstractmethod
    def process(self, message: Any) -> Iterable[Message]:
        """Take a message; yield none, one or several, each with the header of the message it was made from.

        Sequences must grow strictly. A frame's arrays are guaranteed only while the message is being processed or
        retained.
        """

    @classmethod
    def prepare_batch(cls, waiting: Sequence[tuple[Stage, Message]]) -> None:
        """Called before the `process` of several sources' messages that are waiting at the same time in one worker.

        For a stage that can compute them in one pass: it keeps each result in the object until `process` is called
        with the very message, right after. Never waits for a message, and nothing is promised: after a crash, and
        when a message comes alone, `process` is called without it.
        """

    def gap(self, gap: Gap) -> Iterable[Message]:
        """Continuous motion ended. The machine passes the gap on after what this yields."""
        return ()

    def flush(self, end: EndOfStream) -> Iterable[Message]:
        """The source ended: yield what is still held. The machine passes `end` on afterwards.

        With ``end.reason == "failed"`` outputs are to be discarded. May yield long: each message is published as it
        comes.
        """
        return ()

    def unacked_window(self) -> int:
        """How many of the latest messages (gaps included) are still needed.

        They are not acknowledged: their pixels are kept, and after a crash they come again, oldest first, before
        anything new.
        """
        return 0

    def snapshot(self) -> Mapping[str, Any] | None:
        """Small JSON state (< 64 kB) after the latest message, stored with it. None: nothing to keep.

        Retained messages that it accounts for already come again after a crash: tell them by ``header.sequence``.
        """
        return None

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Called after `open` in a worker that took over, with the last snapshot."""

    def close(self) -> None:
        """Release everything. Always called, once, also after an error; may not yield."""
