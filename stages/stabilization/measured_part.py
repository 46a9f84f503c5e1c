"""Measuring a part of a file: what was measured is written for whoever smooths the path of the whole."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.messages import Flow, Gap, Message
from pipeline.stage import Context
from raftline.stabilize.path.path_records import PathRecord
from stages.shared.output_errors import writing
from stages.stabilization.options import StabilizationOptions
from stages.stabilization.spool import Spool


class MeasuredPart:
    """Writes measurements into the file that the option `measured` names."""

    unacked_window = 0
    """No message is held back."""

    def __init__(self, options: StabilizationOptions, context: Context) -> None:
        """Begin with no frame."""
        assert options.measured is not None
        self._output = context.output(options.measured)
        self._spool = Spool(self._output.part.with_name(f"{self._output.path.name}.measured.part"), context)
        self._finished = False

    def take(self, message: Flow, record: PathRecord) -> Iterable[Message]:
        """Write a measurement; yields nothing."""
        self._spool.add(message, record)
        return ()

    def take_again(self, message: Flow) -> None:
        """Do nothing: the message is in the file."""

    def gap(self, gap: Gap) -> Iterable[Message]:
        """Write a gap; yields nothing."""
        self._spool.add_gap(gap)
        return ()

    def finish(self) -> Iterable[Message]:
        """Complete the file; yields nothing."""
        lines = "".join(f"{json.dumps(line)}\n" for line in self._spool.lines())
        with writing(self._output.part):
            self._output.part.write_text(lines)
        self._output.finish()
        self._finished = True
        return ()

    def discard(self) -> None:
        """Remove the file."""
        self._finished = True
        self._output.discard()

    def state(self) -> dict[str, Any]:
        """Return how much of the file is valid."""
        return self._spool.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken. Raises `OutputError`."""
        self._spool.restore(state)

    def close(self) -> None:
        """Remove the spool if it is no longer needed."""
        if self._finished:
            self._spool.remove()


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
