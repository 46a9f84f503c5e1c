"""A plug-in's object, called as its contract says and held to what it promises.

What workers, a run inside one process and `pipeline.testing` all call plug-ins through. What a plug-in does wrong every
time is a `PluginError`, which ends the run at once, with what to write instead; anything else that it raises comes out
as it is, since a second try may help.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import traceback
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any

from pipeline.errors import PluginError, RaftlineError
from pipeline.message_checks import fault, json_fault, named, shown, signature
from pipeline.messages import MESSAGE_TYPES, EndOfStream, Frame, Gap, Message, with_8_bits
from pipeline.stage import Context, Options, Source, Stage

_SIGNATURES_KEPT = 64
"""Kinds of messages that one stream may alternate between without being checked in full again. Chosen by hand."""
_READ_ONLY = ("destination is read-only", "array is read-only", "array marked as readonly", "WRITEABLE flag")
"""What numpy and OpenCV say of writing into an array that is read-only."""
MISTAKES = (TypeError, AttributeError, NameError, ImportError, NotImplementedError, RecursionError)
"""Errors of a plug-in that has not processed anything yet which lie in its code, not in a message."""


class Hosted:
    """What stages and sources have in common: a name for errors, and the messages that they hand over.

    Args:
        name: The stage's name in the configuration.
        use: The plug-in's, as in the configuration.
        cls: Its class.
        writes: What it may hand over.
    """

    def __init__(self, name: str, use: str, cls: type, writes: tuple[type, ...]) -> None:
        self._called = f"stage {name!r} ({use})"
        self._cls = cls
        self._writes = writes
        self._seen: set[Hashable] = set()

    def make(self, options: Options, context: Context) -> Any:
        """The object.

        Raises:
            PluginError: If it cannot be made.
        """
        base = "Stage" if issubclass(self._cls, Stage) else "Source"
        arguments = "def __init__(self, options, context)"
        unset = self.error(
            f"its __init__ does not call that of {base}; write super().__init__(options, context) in its first line"
        )
        with self.opening():
            try:
                made = self._cls(options, context)
            except AttributeError as error:
                if error.name in ("options", "context") and isinstance(error.obj, self._cls):
                    raise unset from error
                raise
            except TypeError as error:
                if error.__traceback__ is not None and error.__traceback__.tb_next is None:
                    raise self.error(f"its __init__ takes other arguments ({error}); write {arguments}") from error
                raise
        if not (hasattr(made, "options") and hasattr(made, "context")):
            raise unset
        return made

    def error(self, words: str) -> PluginError:
        """An error that names the stage."""
        return PluginError(f"{self._called}: {words}")

    @contextlib.contextmanager
    def opening(self) -> Iterator[None]:
        """What is raised inside becomes a `PluginError`: the next try would fail as well."""
        try:
            yield
        except RaftlineError:
            raise
        except SystemExit as error:
            raise self._exited("open", error) from error
        except Exception as error:
            raise PluginError(f"{self._called} cannot be opened: {describe(error, self._cls)}") from error

    @contextlib.contextmanager
    def calling(self, method: str) -> Iterator[None]:
        """Around a call of the plug-in: what is wrong every time becomes a `PluginError`."""
        try:
            yield
        except RaftlineError:
            raise
        except SystemExit as error:
            raise self._exited(method, error) from error
        except Exception as error:
            if any(words in str(error) for words in _READ_ONLY):
                raise self.error(
                    f"{method} writes into an array of a message: {describe(error, self._cls)}; others read the same "
                    "pixels: copy it first, plane = numpy.array(message.planes[0])"
                ) from error
            raise

    def _exited(self, method: str, error: SystemExit) -> PluginError:
        return self.error(
            f"{method} called exit with {error.code!r}{_at(error, self._cls)}; a stage must not end its process: raise "
            "pipeline.errors.UserError to end the run with a message, or return to go on"
        )

    def handed_over(self, method: str, results: Any) -> Iterator[Any]:
        """What a call returned, one checked message after the other.

        Raises:
            PluginError: If it is no iterable of messages, or one of them is not what it should be.
        """
        if isinstance(results, MESSAGE_TYPES):
            raise self.error(
                f"{method} returned a {named(results)}; allowed: an iterable of messages; write `yield` instead of "
                "`return`, or return (message,)"
            )
        if inspect.iscoroutine(results):
            results.close()  # else Python warns of it later, in the midst of something else
            raise self.error(f"{method} is `async`; write it as a plain function: each stage has a process of its own")
        if not isinstance(results, Iterable):
            raise self.error(
                f"{method} returned {shown(results)}; allowed: an iterable of messages; write `return ()` for none, or "
                "`yield message`"
            )
        with self.calling(method):
            for result in results:
                self.check(result)
                yield result

    def check(self, message: Any) -> None:
        """Check a message: in full if it is the first of its kind, otherwise by its signature.

        Raises:
            PluginError: If it does not hold what its class says, or is of a class that the plug-in must not write.
        """
        kind: Hashable = None
        with contextlib.suppress(AttributeError, TypeError, KeyError):
            kind = signature(message)
            if kind in self._seen:
                return
        self.check_in_full(message)
        if len(self._seen) >= _SIGNATURES_KEPT:
            self._seen.clear()
        self._seen.add(kind)

    def check_in_full(self, message: Any) -> None:
        """Check every field of a message. Raises the same errors as `check`."""
        if type(message) not in self._writes:
            raise self.error(f"it handed over {_numbered(message)}; allowed: {self._allowed()}")
        wrong = fault(message)
        if wrong is not None:
            raise self.error(f"it handed over {_numbered(message)}, but {wrong}")

    def _allowed(self) -> str:
        if not issubclass(self._cls, Stage):
            return " or ".join(cls.__name__ for cls in self._writes)
        if self._cls.writes is None:
            return "nothing, because it is a sink; set `writes` to the class of what it yields"
        return f"{self._cls.writes.__name__}, as its `writes` says"


class HostedStage(Hosted):
    """A `Stage` at work on one source. See `Hosted`."""

    def __init__(self, name: str, use: str, cls: type[Stage], options: Options, context: Context) -> None:
        super().__init__(name, use, cls, () if cls.writes is None else (cls.writes, Gap))
        self.name = name
        self.stage: Stage = self.make(options, context)

    def open(self, snapshot: str | None = None) -> None:
        """Open it, and restore the state in a snapshot."""
        with self.opening():
            self.stage.open()
            if snapshot is not None:
                self.stage.restore(json.loads(snapshot))

    def outputs(self, message: Message, recycled: bool = False) -> Iterator[Message]:
        """What goes into its stream for a message: what it makes of it, then the gap or the end itself.

        `recycled`: the message's pixels are gone.
        """
        yield from self.made_of(message, "recycled" if recycled else None)
        if self.stage.writes is None:
            return
        if isinstance(message, EndOfStream) or (isinstance(message, Gap) and self.stage.passes_gaps):
            yield message

    def made_of(self, message: Message, method: str | None = None) -> Iterator[Message]:
        """What it makes of a message, checked; `method` takes it, that of its class if None."""
        method = method or {Gap: "gap", EndOfStream: "flush"}.get(type(message), "process")
        if not self.stage.takes_10_bits:
            message = with_8_bits(message)
        with self.calling(method):
            results = getattr(self.stage, method)(message)
        yield from self.handed_over(method, results)

    def unacked_window(self) -> int:
        """Number of the latest messages that it still needs."""
        with self.calling("unacked_window"):
            window = self.stage.unacked_window()
        if type(window) is not int or window < 0:
            raise self.error(f"unacked_window returned {shown(window)}; allowed: a whole number, at least 0")
        return window

    def snapshot(self) -> str | None:
        """Its state as JSON."""
        with self.calling("snapshot"):
            state = self.stage.snapshot()
        if state is None:
            return None
        try:
            text = json.dumps(state)
        except (TypeError, ValueError, RecursionError) as error:
            raise self.error(json_fault(state, "snapshot()") or f"snapshot() is no JSON: {error}") from error
        allowed = self.stage.snapshot_bytes
        if len(text) > allowed:
            raise self.error(
                f"its snapshot takes {len(text)} bytes as JSON; allowed: {allowed} (snapshot_bytes), as it is stored "
                "with every message; keep large things in a file (self.context.output), messages by unacked_window()"
            )
        return text

    def checkpoint(self) -> Mapping[str, Any] | None:
        """Its large state."""
        with self.calling("checkpoint"):
            state = self.stage.checkpoint()
        if state is None or isinstance(state, Mapping):
            return state
        raise self.error(
            f"checkpoint returned {shown(state)}; allowed: a mapping of JSON values and numpy arrays, or None"
        )


class HostedSource(Hosted):
    """A `Source` at work. See `Hosted`."""

    def __init__(self, name: str, use: str, cls: type[Source], options: Options, context: Context) -> None:
        super().__init__(name, use, cls, (Frame, Gap))
        self.source: Source = self.make(options, context)

    def read(self, start_index: int) -> Iterator[Frame | Gap]:
        """Its frames and gaps."""
        with self.calling("read"):
            results = self.source.read(start_index)
        yield from self.handed_over("read", results)


def describe(error: BaseException, cls: type | None = None) -> str:
    """Describe a plug-in's exception in one line: what it is, and where in the plug-in's own code it was raised."""
    hint = "; install it where raftline is installed" if isinstance(error, ModuleNotFoundError) else ""
    return f"{type(error).__name__}: {error}{hint}{_at(error, cls)}"


def _at(error: BaseException, cls: type | None) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    try:
        file = inspect.getsourcefile(cls) if cls is not None else None
    except TypeError:
        file = None
    own = [frame for frame in frames if frame.filename == file] or frames
    return f" ({own[-1].filename}:{own[-1].lineno})" if own else ""


def _numbered(message: Any) -> str:
    sequence = getattr(getattr(message, "header", None), "sequence", None)
    return f"a {named(message)}" + (f" (sequence {sequence})" if sequence else "")
