"""What was measured of each frame, in a file: lines of JSON that no killed worker loses or doubles."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.messages import Flow, Gap, Message
from pipeline.stage import Context
from raftline.stabilize.path.path_records import PathRecord
from stages.shared.line_file import LineFile
from stages.stabilization.correction import appended, cut_back


class Spool:
    """Appends to a file, which is made with the first line."""

    def __init__(self, path: Path, context: Context) -> None:
        self.path, self._context = path, context
        self._file: LineFile | None = None

    def add(self, message: Flow, record: PathRecord) -> None:
        """Append what was measured of a frame. Raises `OutputError`."""
        self._append({"frame": record.to_json(), "header": message.header.to_json()})

    def add_gap(self, gap: Gap) -> None:
        """Append a gap. Raises `OutputError`."""
        values = {"reason": gap.reason, "detail": gap.detail, "gap_seconds": gap.gap_seconds}
        self._append({"gap": values, "header": gap.header.to_json()})

    def lines(self) -> list[dict[str, Any]]:
        """All lines. Raises `OutputError`."""
        return [json.loads(line) for line in self._file.lines()] if self._file else []

    def state(self) -> dict[str, Any]:
        """Return how much of the file is valid."""
        return {"bytes": self._file.length if self._file else 0}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken. Raises `OutputError`."""
        self._file = cut_back(self.path, state["bytes"], self._context)

    def remove(self) -> None:
        """Remove the file, if there is one."""
        self.path.unlink(missing_ok=True)

    def _append(self, values: dict[str, Any]) -> None:
        self._file = appended(self._file, self.path, values)


class Spooling:
    """Spools the measurements of a whole file, of which something is made at its end."""

    unacked_window = 0
    """No message is held back."""

    def __init__(self, path: str, context: Context) -> None:
        """Begin with no frame, and with the output file of this path."""
        self._output = context.output(path)
        self._spool = Spool(self._output.part.with_name(f"{self._output.path.name}.measured.part"), context)
        self._finished = False

    def take(self, message: Flow, record: PathRecord) -> Iterable[Message]:
        """Spool a measurement; yields nothing."""
        self._spool.add(message, record)
        return ()

    def take_again(self, message: Flow) -> None:
        """Do nothing: the message is in the spool."""

    def gap(self, gap: Gap) -> Iterable[Message]:
        """Spool a gap; yields nothing."""
        self._spool.add_gap(gap)
        return ()

    def discard(self) -> None:
        """Remove the output file and the spool."""
        self._finished = True
        self._output.discard()

    def state(self) -> dict[str, Any]:
        """Return how much of the spool is valid."""
        return self._spool.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken. Raises `OutputError`."""
        self._spool.restore(state)

    def close(self) -> None:
        """Remove the spool if it is no longer needed."""
        if self._finished:
            self._spool.remove()
