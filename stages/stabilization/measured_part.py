"""Measuring a part of a file: what was measured is written for whoever smooths the path of the whole."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pipeline.messages import Message
from pipeline.stage import Context
from stages.shared.output_errors import writing
from stages.stabilization.options import StabilizationOptions
from stages.stabilization.spool import Spooling


class MeasuredPart(Spooling):
    """Writes measurements into the file that the option `measured` names."""

    def __init__(self, options: StabilizationOptions, context: Context) -> None:
        """Begin with no frame."""
        assert options.measured is not None
        super().__init__(options.measured, context)

    def finish(self) -> Iterable[Message]:
        """Complete the file; yields nothing."""
        lines = "".join(f"{json.dumps(line)}\n" for line in self._spool.lines())
        with writing(self._output.part):
            self._output.part.write_text(lines)
        self._output.finish()
        self._finished = True
        return ()


def lines_of(files: Sequence[Path]) -> list[dict[str, Any]]:
    """What was measured of a file in the parts of it that `files` are of, in order: the lines of the whole.

    Raises `OutputError`.
    """
    lines: list[dict[str, Any]] = []
    frames = 0
    for file in files:
        with writing(file):
            own = [json.loads(line) for line in file.read_bytes().splitlines()]
        measured = [line["frame"] for line in own if "frame" in line]
        by = frames - measured[0]["index"] if measured else 0  # each part numbers its frames from its own begin
        for frame in measured:
            frame["index"] += by
            frame["revised"] = [[index + by, correction] for index, correction in frame["revised"]]
        lines += own
        frames += len(measured)
    return lines
