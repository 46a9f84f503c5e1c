"""What a worker provides to its plug-ins."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, TypeVar

from pipeline.config.plan import SourcePlan
from pipeline.errors import ConfigError
from pipeline.messages import Frame, Gap, Header
from pipeline.runtime.event_verdicts import MayTell
from pipeline.runtime.held_sources import HoldsSource
from pipeline.runtime.output import OutputFile
from pipeline.runtime.output_lock import OutputLock, Run
from pipeline.runtime.run_folder import run_folder
from pipeline.stage import FULL_DEMAND, Demand, Source

T = TypeVar("T")
_shared: dict[str, Any] = {}
PART, OUTPUT = "part ", "output "
"""What a stage's status begins with where it names an output that was begun, or that is finished."""
_MOST_LOCKS = 16
"""Held beyond the end of an output. Only one that writes thousands of files into a folder elsewhere comes near it."""


class WorkerContext:
    """See `pipeline.stage.Context`."""

    def __init__(
        self,
        stage: str,
        plan: SourcePlan,
        output_directory: Path,
        needs: frozenset[str] = frozenset(),
        threads: int | None = None,
        on_status: Callable[[dict[str, str]], None] = lambda values: None,
        demand: Demand = FULL_DEMAND,
        run: Run | None = None,
        run_directory: Path | None = None,
    ) -> None:
        self.stage = stage
        self.source = plan.info
        self.policy: Literal["lossless", "live"] = plan.policy
        self.needs = needs
        self.threads = threads or 1
        self.demand = demand
        self.log = logging.getLogger(f"raftline.{stage}.{plan.info.name}")
        self._plan = plan
        self._directory = output_directory
        self._on_status = on_status
        self._counts: dict[str, int] = {}
        self._said: set[str] = set()
        self._run = run
        self._run_directory = run_directory if run_directory and run_directory.name else None  # all in one process
        self._may_tell = MayTell(self._run_directory)
        self._holds_source = HoldsSource(self._run_directory, plan.info.name)
        self._locks: dict[Path, OutputLock] = {}
        self.finished_before: Collection[str] = ()
        """Paths of outputs that a worker before this one has finished, or was about to."""

    def header(
        self, pts: int | None, time_base: Fraction, arrival_ns: int | None = None, ntp_ns: int | None = None
    ) -> Header:
        return Header(
            self.source.name, pts, time_base, time.time_ns() if arrival_ns is None else arrival_ns, ntp_ns=ntp_ns
        )

    def output(self, template: str) -> OutputFile:
        path = self._directory / template.format(source=self.source.name, stage=self.stage)
        named = path.parent if self._is_one_of_many(path, template) else path
        output = OutputFile(
            path,
            lambda path: self._let_go(named),
            before_finish=lambda path: self._say_once(f"{OUTPUT}{named}"),
            finished_before=str(path) in self.finished_before,
        )
        if named not in self._locks and self._run is not None:
            self._locks[named] = OutputLock.take(named, self._run)
        self._say_once(f"{PART}{named}")
        return output

    def close(self) -> None:
        """Let other runs have the outputs."""
        while self._locks:
            self._locks.popitem()[1].release()

    def reopen(self) -> Iterator[Frame | Gap]:
        if self.source.read_once:
            raise ConfigError(
                f"stage {self.stage!r} needs the frames of {self.source.name!r} twice, "
                f"but {self.source.display} is {'live' if self.source.live else 'standard input'} and cannot be read "
                "again; use a mode that looks ahead instead"
            )
        # A separate context: what is counted during the second reading was counted before.
        again = WorkerContext(self.stage, self._plan, self._directory, threads=self.threads)
        source: Source = self._plan.cls(self._plan.options, again)  # type: ignore[assignment]
        try:
            yield from source.read(0)
        finally:
            source.close()

    def run_folder(self, name: str, most_bytes: int = 0) -> Path | None:
        if self._run_directory is None:
            return None
        return run_folder(self._run_directory, name, self.source.name, most_bytes)

    def may_tell(self, key: str, seen_at: float) -> bool | None:
        return self._may_tell(key, seen_at)

    def holds_source(self) -> bool | None:
        return self._holds_source()

    def shared(self, key: str, make: Callable[[], T]) -> T:
        if key not in _shared:
            _shared[key] = make()
        return _shared[key]

    def count(self, name: str, by: int = 1) -> None:
        self._counts[name] = self._counts.get(name, 0) + by

    def status(self, **values: str | int | float | bool) -> None:
        self._on_status({name: str(value) for name, value in values.items()})

    def take_counts(self) -> dict[str, int]:
        """Counts since the last call."""
        counts, self._counts = self._counts, {}
        return counts

    def _let_go(self, named: Path) -> None:
        if len(self._locks) > _MOST_LOCKS and named in self._locks:
            self._locks.pop(named).release()

    def _is_one_of_many(self, path: Path, template: str) -> bool:
        """Whether it is its folder that is the output: thousands of images are one. A folder elsewhere is not ours."""
        folder, _, name = template.rpartition("/")
        return self._directory in path.parent.parents and ("{source}" in folder or "{source}" not in name)

    def _say_once(self, key: str) -> None:
        if key not in self._said:
            self._on_status({key: ""})
            self._said.add(key)
