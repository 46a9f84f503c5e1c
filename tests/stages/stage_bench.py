"""A context for one stage, and a machine that delivers, acknowledges, kills and delivers again as the real one
promises."""

from __future__ import annotations

import copy
from collections import Counter
from io import FileIO
from pathlib import Path
from typing import Any

from pipeline.messages import EndOfStream, Gap, Message
from pipeline.stage import Stage
from pipeline.testing import TestContext


def bench_context(folder: Path, input: str = "clip", live: bool = False) -> TestContext:
    """A context whose source is called ``clip``."""
    return TestContext(source="clip", input=input, live=live, directory=folder)


class Machine:
    """Delivers messages to a stage and keeps what a real one keeps: acknowledgements, the snapshot, committed
    counts."""

    def __init__(self, cls: type[Stage], context: TestContext, **options: Any) -> None:
        self.cls, self.context, self.options = cls, context, options
        self.unacknowledged: list[Message] = []
        self.committed: dict[str, Any] | None = None
        self.checkpoint: Any = None
        self.counts: Counter[str] = Counter()
        self.most_retained = 0
        self.stage = self._new()

    def _new(self) -> Any:
        self.context.counts = {}
        made = self.cls(self.cls.Options(**self.options), self.context)
        made.open()
        if self.committed is not None:
            made.restore(self.committed)
        if self.checkpoint is not None:
            made.restore_checkpoint(copy.deepcopy(self.checkpoint))
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
        retained = 0 if isinstance(message, EndOfStream) else self.stage.unacked_window()
        self.most_retained = max(self.most_retained, retained)
        upto = [m.header.sequence for m in self.unacknowledged].index(message.header.sequence) + 1
        acknowledged = max(0, upto - retained)
        del self.unacknowledged[:acknowledged]
        if acknowledged:
            self.committed = self.stage.snapshot()
            self.checkpoint = copy.deepcopy(self.stage.checkpoint())
            self.counts.update(self.context.counts)
            self.context.counts = {}
        return made

    def kill(self, thought_dead: bool = False) -> list[Message]:
        """Leave the stage as it is, not closed; make a new one and deliver again what was not acknowledged."""
        if not thought_dead:
            _close_files(self.stage)
        self.stage = self._new()
        made: list[Message] = []
        for message in list(self.unacknowledged):
            made += self._process(message)
        return made

    def close(self) -> None:
        self.stage.close()


def _close_files(stage: Stage) -> None:
    """What the kernel does for a killed process. Nothing of the stage's own code runs."""
    for value in vars(stage).values():
        for held in value if isinstance(value, list) else [value]:
            file = getattr(held, "_file", None)
            if isinstance(file, FileIO):
                file.close()
