"""What a plug-in implements, and what it can rely on.

A plug-in is a `Source`, which produces frames, or a `Stage`, which reads one stream and writes one. The pipeline
creates one object per source of video and calls it from one thread, in order. The stages of one process are never
called for two sources at once.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pipeline.demand import ACCURACIES, FULL_DEMAND, Accuracy, Demand, demand_of
from pipeline.errors import PluginError
from pipeline.messages import EndOfStream, Frame, Gap, Header, Message
from pipeline.plugin_context import Context, Options, Output, SourceInfo

__all__ = [
    "ACCURACIES",
    "FULL_DEMAND",
    "VIDEO_SUFFIXES",
    "Accuracy",
    "Context",
    "Demand",
    "Options",
    "Output",
    "Source",
    "SourceInfo",
    "Stage",
    "demand_of",
]

VIDEO_SUFFIXES = frozenset(
    (".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg")
    + (".mts", ".mxf", ".ogv", ".ts", ".webm", ".wmv", ".y4m")
)
"""Of files that are videos, whatever is in them."""


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
    is late. After a crash the pipeline creates a new object, calls `restore` with the last snapshot and
    `restore_checkpoint` with the last checkpoint, and delivers all unacknowledged messages again, beginning with the
    unacknowledged window (`unacked_window`). Output for a sequence that was already published is dropped.
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
    def modules_for(cls, given: Mapping[str, Any], demand: Demand) -> Iterable[str]:
        """The same where it is known what the stage's readers ask for: with less than all, less may have to be loaded.

        Args:
            given: As in `modules`.
            demand: Of the readers.
        """
        return cls.modules(given)

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

    def recycled(self, message: Any) -> Iterable[Message]:
        """Handle a message whose pixels are gone, for what else it tells: like `process`, where policy is ``live``.

        Called for a `Mask` at which an event begins or ends, and for `Data` that is told `once`, where the stage came
        too late for their arrays: these raise `pipeline.errors.StalePayloadError`. It counts as dropped all the same.
        """
        return ()

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

    def checkpoint(self) -> Mapping[str, Any] | None:
        """State that is too large for `snapshot`: JSON values and numpy arrays, in mappings and lists, of any size.

        None: there is none now. It is copied before the next message, into shared memory as a rule, and only now and
        then: once the stage has worked 50 times as long as that takes, or after some messages.

        With the policy ``lossless`` the messages since then stay unacknowledged, and `snapshot` is stored together with
        the checkpoint. After a crash all these messages are delivered again, so that the stage goes on exactly as if it
        had never died. With ``live`` it is stored once a second, and after a crash the stage goes on with the newest
        `snapshot`, a checkpoint of up to a second before, and the messages that come then.
        """
        return None

    def restore_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        """Take over from a worker that died: called after `restore`, with its last checkpoint, if it can be had.

        What were tuples are lists now; the arrays are the stage's own.
        """

    def close(self) -> None:
        """Release all resources. Called exactly once, even after an error. Must not yield."""
