"""A stage that writes down every message it gets, once, whatever its worker suffers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline import stage
from pipeline.messages import EndOfStream, Gap, Mask, Message
from stages.shared.line_file import LineFile


class FrameLedger(stage.Stage):
    """One JSON line a frame or gap: epoch, sequence, index (of a gap: its reason), arrival (ns since 1970)."""

    reads = (Mask,)
    takes_10_bits = True

    def open(self) -> None:
        self._path = self.context.output("{source}.ledger.jsonl").path
        self._lines: LineFile | None = None

    def snapshot(self) -> Mapping[str, Any] | None:
        return None if self._lines is None else {"length": self._lines.length}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        self._lines = LineFile.resumed(self._path, snapshot["length"], in_place=True)

    def process(self, message: Mask) -> Iterable[Message]:
        return self._note(message, message.frame.index)

    def gap(self, gap: Gap) -> Iterable[Message]:
        return self._note(gap, gap.reason)

    def flush(self, end: EndOfStream) -> Iterable[Message]:
        return self._note(end, end.reason)

    def _note(self, message: Message, what: int | str) -> Iterable[Message]:
        self._lines = self._lines or LineFile.extended(self._path)
        header = message.header
        self._lines.append(json.dumps([header.epoch, header.sequence, what, header.arrival_ns]))
        return ()
