"""What a plug-in implements whose work on a long file can be shared out: `raftline batch` cuts the file into segments.

One run goes through the whole file in order and does whatever depends on what came before. Others compute ahead for it
what does not (`ComputesAhead`), and do afterwards what each frame needs alone (`Divides`, `WorksInSegments`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.plugin_context import Context, Options
from pipeline.sections import Sections


class Span(NamedTuple):
    """A segment of a file. Times are presentation times in units of the source's time base."""

    seek: int | None
    """Key frame from which to decode, so that all frames of the segment come out as in the whole file; None: the first
    frame."""
    first: int | None
    """Of the first frame; None: of the file."""
    end: int | None
    """Frames from here on belong to the next segment; None: there is none."""


class Division(NamedTuple):
    """How a stage's work on a file is divided."""

    in_order: Mapping[str, Any]
    """Options, over those that are given, with which the stage goes through the whole file and yields nothing."""
    use: str
    """The stage that does the rest for a segment, ``module:Class``. It reads the source."""
    given: Mapping[str, Any]
    """Its options; `span` is added to those of the rest: the segment."""


class CutsFiles(ABC):
    """A `Source` that can read a segment of a file."""

    @classmethod
    @abstractmethod
    def cut(cls, options: Any, input: str, seconds: float) -> list[Span]:
        """Segments of about `seconds`, in order, which hold each frame once; none if the file cannot be cut.

        Raises:
            InputError: If the file cannot be read.
        """

    @classmethod
    @abstractmethod
    def cut_sections(cls, options: Any, input: str, sections: Sections) -> list[tuple[int, Span]]:
        """Sections of the file by number, in order, each with its run-up; none if there is but one.

        The last one may hold more than one section.

        Raises:
            InputError: If the file cannot be read.
        """

    @classmethod
    @abstractmethod
    def of_span(cls, span: Span, told: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Options, over those that are given, with which exactly the frames of a segment come.

        Args:
            span: One of `cut`.
            told: What the summary says of the source after the whole file; empty before.

        Returns:
            None: its frames would not be the same as those of the whole file.
        """


class ComputesAhead(ABC):
    """A `Stage` whose costly part can be computed before its turn."""

    @classmethod
    @abstractmethod
    def ahead(cls, options: Any, needs: frozenset[str], folder: str) -> Mapping[str, Any] | None:
        """Options, over those that are given, with which it takes what is in `folder`, and adds to it what is not.

        Args:
            options: Those of the stage.
            needs: As `Context.needs`.
            folder: Shared by all of them. A file ``closed`` in it says that no more is wanted.

        Returns:
            None: nothing can be computed ahead.
        """

    @classmethod
    @abstractmethod
    def ahead_stage(cls) -> str:
        """The stage that only adds to the folder, ``module:Class``; with the same options."""


class Divides(ABC):
    """A `Stage` that has to see the whole file, and then moves, colors or cuts each frame by itself."""

    @classmethod
    @abstractmethod
    def divided(cls, options: Any, file: str) -> Division | None:
        """How it is divided, if it can be; `file` takes what the second part needs to know."""

    @classmethod
    def in_one_piece(cls, file: str) -> str | None:
        """Why the second part cannot be shared out, now that the first has written `file`; None: it can."""
        return None


class WorksInSections(ABC):
    """A `Stage` that begins anew with each section of a file: nothing from before its run-up tells in a section."""

    @classmethod
    @abstractmethod
    def sections(cls, options: Any) -> Sections | None:
        """Those in which it works; None: it needs all that came before."""


class Gathers(Divides):
    """A `Stage` that only collects results of sections before it sees the whole file, so that sections can be shared
    out, too."""

    @classmethod
    @abstractmethod
    def of_section(cls, number: int, end: int | None) -> Mapping[str, Any]:
        """Options, over those that are given, with which it collects results from a section on, up to the section
        `end`, into the outputs; None: to the end of the file."""

    @classmethod
    @abstractmethod
    def gather(cls, options: Any, context: Context, parts: Sequence[Path]) -> int:
        """Do what it does at the end of a run in order.

        Args:
            options: Those of a run in order.
            context: Of the whole file.
            parts: The folders of outputs of all sections, in order.

        Returns:
            Number of frames in the sections.

        Raises:
            UserError: If results or outputs cannot be read or written.
        """


class WorksInSegments:
    """A `Stage` that reads from one that `Divides`, at any distance, and treats each message by itself."""

    @classmethod
    def of_segment(cls) -> str | None:
        """The stage that takes its place in a segment, ``module:Class``; None: itself."""
        return None

    @classmethod
    def join(cls, options: Options, context: Context, parts: Sequence[Path]) -> None:
        """Make the outputs of the whole file, by `Context.output`.

        Args:
            options: Those of the stage.
            context: Of the whole file.
            parts: Of each segment, in order, the folder that the stages in `of_segment` wrote into.

        Raises:
            UserError: If they cannot be written.
        """
