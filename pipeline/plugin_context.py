"""What the pipeline provides to a plug-in, and the base class of its options. Import it from `pipeline.stage`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from pipeline.demand import Demand
from pipeline.input_paths import STANDARD_INPUT
from pipeline.messages import Frame, Gap, Header

T = TypeVar("T")


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

    @property
    def read_once(self) -> bool:
        """Whether it cannot be read a second time: a camera, or what is piped in."""
        return self.live or self.input == STANDARD_INPUT


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

    def take_back(self) -> None:
        """Undo the `finish` of a worker that died before it counted: `part` is there again. Otherwise do nothing.

        For `Stage.restore` of a stage that goes on with `part`.
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

    def may_tell(self, key: str, seen_at: float) -> bool | None:
        """Whether a motion event may be told to somebody outside. Of hosts that share cameras, one that has lost a
        camera to another may not: its events are told by that one.

        Args:
            key: ``UID.begin`` or ``UID.end``.
            seen_at: When the stage got it, s since 1970.

        Returns:
            None: it is not known yet; ask again.
        """
        ...

    def holds_source(self) -> bool | None:
        """Whether this host has the source, of hosts that share cameras: one that stood still may have lost it, or does
        not know. What is told outside of how things are, rather than of events (`may_tell`), is the holder's to tell.

        Returns:
            None: hosts share nothing, the source is this run's own.
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
