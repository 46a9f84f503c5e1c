"""A stage that says which gaps it met, for tests of cameras."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipeline.messages import Frame, Gap, Message
from pipeline.stage import Options, Stage


class GapNotes(Stage):
    """Its status has the reasons of all gaps."""

    class Options(Options):
        label: str = ""

    reads = (Frame,)

    def open(self) -> None:
        self._met: list[str] = []

    def snapshot(self) -> dict[str, Any]:
        return {"met": self._met}

    def restore(self, snapshot: Any) -> None:
        self._met = list(snapshot["met"])

    def process(self, message: Frame) -> Iterable[Message]:
        return ()

    def gap(self, gap: Gap) -> Iterable[Message]:
        self._met.append(gap.reason)
        self.context.status(gaps=" ".join(self._met))
        return ()
