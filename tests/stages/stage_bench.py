"""A context for one stage, and a machine that delivers, acknowledges, kills and delivers again as the real one
promises."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from pipeline.messages import EndOfStream, Frame, Gap, Header, Message
from pipeline.stage import SourceInfo, Stage

_KILLED: list[Stage] = []
"""Kept, so that no destructor tidies up what a killed process leaves."""


class FileOutput:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.part = path.with_name(path.name + ".part")
        path.parent.mkdir(parents=True, exist_ok=True)

    def finish(self) -> None:
        self.part.replace(self.path)

    def discard(self) -> None:
        self.part.unlink(missing_ok=True)


@dataclass
class BenchContext:
    """What the machine gives to a plug-in, for a folder and one source."""

    folder: Path
    source: SourceInfo = field(default_factory=lambda: SourceInfo("clip", "clip", "clip", live=False))
    stage: str = "stage"
    policy: Literal["lossless", "live"] = "lossless"
    needs: frozenset[str] = frozenset()
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("bench"))
    counted: Counter[str] = field(default_factory=Counter)
    said: dict[str, Any] = field(default_factory=dict)
    shared_objects: dict[str, Any] = field(default_factory=dict)

    def header(
        self, pts: int | None, time_base: Fraction, arrival_ns: int | None = None, ntp_ns: int | None = None
    ) -> Header:
        return Header(self.source.name, pts, time_base, arrival_ns or 0, ntp_ns=ntp_ns)

    def output(self, template: str) -> FileOutput:
        return FileOutput(self.folder / template.format(source=self.source.name, stage=self.stage))

    def reopen(self) -> Iterator[Frame | Gap]:
        raise NotImplementedError

    def shared(self, key: str, make: Any) -> Any:
        if key not in self.shared_objects:
            self.shared_objects[key] = make()
        return self.shared_objects[key]

    def count(self, name: str, by: int = 1) -> None:
        self.counted[name] += by

    def status(self, **values: Any) -> None:
        self.said.update(values)


class Machine:
    """Delivers messages to a stage and keeps what a real one keeps: acknowledgements, the snapshot, committed
    counts."""

    def __init__(self, cls: type[Stage], context: BenchContext, **options: Any) -> None:
        self.cls, self.context, self.options = cls, context, options
        self.unacknowledged: list[Message] = []
        self.committed: dict[str, Any] | None = None
        self.counts: Counter[str] = Counter()
        self.most_retained = 0
        self.stage = self._new()

    def _new(self) -> Any:
        self.context.counted = Counter()
        made = self.cls(self.cls.Options(**self.options), self.context)
        made.open()
        if self.committed is not None:
            made.restore(self.committed)
        return made

    def deliver(self, *messages: Message) -> list[Message]:
        made: list[Message] = []
        for message in messages:
            self.unacknowledged.append(message)
            made += self._process(message)
        return made

    def _process(self, message: Message) -> list[Message]:
        if isinstance(message, EndOfStream):
            made = list(self.stage.flush(message))
        elif isinstance(message, Gap):
            made = list(self.stage.gap(message))
        else:
            made = list(self.stage.process(message))
        retained = 0 if isinstance(message, EndOfStream) else self.stage.retained()
        self.most_retained = max(self.most_retained, retained)
        upto = [m.header.sequence for m in self.unacknowledged].index(message.header.sequence) + 1
        acknowledged = max(0, upto - retained)
        del self.unacknowledged[:acknowledged]
        if acknowledged:
            self.committed = self.stage.snapshot()
            self.counts += self.context.counted
            self.context.counted = Counter()
        return made

    def kill(self) -> list[Message]:
        """Leave the stage as it is, not closed; make a new one and deliver again what was not acknowledged."""
        _KILLED.append(self.stage)
        self.stage = self._new()
        made: list[Message] = []
        for message in list(self.unacknowledged):
            made += self._process(message)
        return made

    def close(self) -> None:
        self.stage.close()
