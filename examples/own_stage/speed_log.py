"""A stage of one's own: how fast the frame moves, as a table."""

from collections.abc import Iterable

import numpy as np
from pydantic import Field

from pipeline import stage
from pipeline.messages import EndOfStream, Flow, Message


class SpeedLog(stage.Stage):
    """Writes a line of CSV per frame: time in s, median and fastest speed in px/s."""

    class Options(stage.Options):
        path: str = Field("{source}.speed.csv", description="file to write; {source} is filled in")

    reads = (Flow,)
    writes = None
    accuracy = "cells"  # the grid is all that is read

    def open(self) -> None:
        self._output = self.context.output(self.options.path)
        self._length = 0

    def process(self, message: Flow) -> Iterable[Message]:
        if message.grid_px is not None and message.step_seconds:
            speed_px_s = np.linalg.norm(np.asarray(message.grid_px), axis=2) / message.step_seconds
            seconds = message.header.pts_seconds or 0.0
            self._write(f"{seconds:.3f},{np.median(speed_px_s):.1f},{speed_px_s.max():.1f}\n")
        return ()

    def flush(self, end: EndOfStream) -> Iterable[Message]:
        self._write("")
        if end.reason == "failed":
            self._output.discard()
        else:
            self._output.finish()
        return ()

    def snapshot(self) -> dict[str, int]:
        return {"length": self._length}

    def restore(self, snapshot: dict[str, int]) -> None:
        """In a worker that takes over: what was written after the snapshot is written again."""
        self._length = snapshot["length"]

    def _write(self, line: str) -> None:
        with self._output.part.open("r+b" if self._length else "wb") as file:
            file.seek(self._length)
            file.write((line if self._length else f"seconds,median_px_s,fastest_px_s\n{line}").encode())
            file.truncate()
            self._length = file.tell()
