"""A text file that grows line by line and loses no line, and doubles none, when its writer is killed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from pipeline.stage import Output
from stages.shared.output_errors import writing


class LineFile:
    """Lines for an output.

    Until it is complete it is a `.part`, or, with `visible`, the final file itself, to which the lines of every run are
    added, so that they can be followed while they come. `length` belongs in the stage's snapshot: what a killed
    writer added after it is taken away again by `resume`, as those lines will come again.
    """

    def __init__(self, output: Output, visible: bool) -> None:
        self._output = output
        self._visible = visible
        self._path: Path = output.path if visible else output.part
        self.length = 0
        """Bytes, all lines included that were there before."""

    def begin(self) -> None:
        """Start afresh; a visible file goes on after its last whole line. Raises `OutputError`."""
        with writing(self._path):
            if not self._visible:
                self._path.write_bytes(b"")
                return
            self._path.touch()
            content = self._path.read_bytes()
            self.length = content.rfind(b"\n") + 1
            os.truncate(self._path, self.length)

    def resume(self, length: int) -> None:
        """Go on after `length` bytes. Raises `OutputError`."""
        self.length = length
        with writing(self._path):
            if self._visible:
                os.truncate(self._path, length)  # in place: someone may be following it
                return
            # A copy, so that a writer thought dead cannot add to the file that is read in the end.
            whole = self._path.read_bytes()[:length]
            copy = self._path.with_name(self._path.name + ".resumed.part")
            copy.write_bytes(whole)
            copy.replace(self._path)

    def append(self, line: str) -> None:
        """Add a line, with the operating system when the call returns. Raises `OutputError`."""
        data = line.encode() + b"\n"
        with writing(self._path):
            with open(self._path, "r+b", buffering=0) as file:
                file.seek(self.length)
                file.write(data)
        self.length += len(data)

    def finish(self) -> None:
        """Give the file its name. Raises `OutputError`."""
        if self._visible:
            with writing(self._output.part):
                shutil.copyfile(self._path, self._output.part)
        self._output.finish()

    def discard(self) -> None:
        """Drop the lines; those of a visible file were seen already, and stay."""
        self._output.discard()
