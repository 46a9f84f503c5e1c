"""A stage that writes down every message it gets, once, whatever its worker suffers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline import stage
from pipeline.messages import EndOfStream, Gap, Mask, Message
from stages.shared.line_file import LineFile

_LOOKED_AT = 100
"""Lines that a worker may have written before its first commit; far more than one commit holds."""


class FrameLedger(stage.Stage):
    """One JSON line a frame or gap: epoch, sequence, index (of a gap: its reason), arrival (ns since 1970).

    A worker that is killed before its first commit leaves lines that no snapshot tells of; its successor, who gets the
    same messages again, does not write those a second time.
    """

    reads = (Mask,)
    takes_10_bits = True

    def open(self) -> None:
        self._path = self.context.output("{source}.ledger.jsonl").path
        self._lines: LineFile | None = None
        self._left: set[str] = set()

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
        if self._lines is None:
            self._lines = LineFile.extended(self._path)
            self._left = set(self._path.read_text().splitlines()[-_LOOKED_AT:]) if self._path.exists() else set()
        header = message.header
        line = json.dumps([header.epoch, header.sequence, what, header.arrival_ns])
        if line not in self._left:
            self._lines.append(line)
        return ()
