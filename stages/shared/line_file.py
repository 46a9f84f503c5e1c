"""A text file that grows line by line; no line is lost or doubled when its writer is killed."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.errors import OutputError
from stages.shared.output_errors import writing


class LineFile:
    """Appends lines to a file, and goes on after a length that is known to count.

    `length` belongs in the stage's snapshot. Lines that a killed writer added after it are cut off by `resumed`,
    because the messages they came from are delivered again.
    """

    def __init__(self, path: Path, length: int, rotates: bool = False) -> None:
        """For a file that exists and holds `length` bytes. Raises `OutputError`.

        `rotates`: someone may move it away, or empty it, while it grows; the lines go on in what is there then.
        """
        with writing(path):
            self._inode = path.stat().st_ino
        self.path = path
        self._rotates = rotates
        self.length = length
        """Bytes, including the lines that were there before."""

    @classmethod
    def new(cls, path: Path) -> LineFile:
        """An empty file in place of any other. Raises `OutputError`."""
        with writing(path):
            path.write_bytes(b"")
        return cls(path, 0)

    @classmethod
    def extended(cls, path: Path) -> LineFile:
        """The file of earlier runs, after its last whole line. Raises `OutputError`."""
        with writing(path):
            path.touch()
            length = path.read_bytes().rfind(b"\n") + 1
            os.truncate(path, length)
        return cls(path, length, rotates=True)

    @classmethod
    def resumed(cls, path: Path, length: int, in_place: bool = False) -> LineFile:
        """The file as it was when it held `length` bytes.

        Args:
            path: of the file that the killed writer left.
            length: bytes to keep.
            in_place: cut the file itself, because someone may be following it; one that was rotated away meanwhile goes
                on with what is there. Else the lines move to a new file under the same name, so that a writer that was
                only thought dead cannot spoil it.

        Raises:
            OutputError: the file cannot be written; not `in_place`: it is missing or holds less than `length`.
        """
        if in_place:
            with writing(path):
                path.touch()
                length = min(length, path.stat().st_size)
                os.truncate(path, length)
            return cls(path, length, rotates=True)
        if not length:
            return cls.new(path)
        with writing(path):
            kept = path.read_bytes()[:length]
            if len(kept) < length:
                raise OutputError(f"{path}: holds {len(kept)} bytes where {length} were written; was it changed?")
            copy = path.with_name(path.name + ".resumed.part")
            copy.write_bytes(kept)
            copy.replace(path)
        return cls(path, length)

    def append(self, line: str) -> None:
        """Add a line. It is with the operating system when the call returns. Raises `OutputError`."""
        data = line.encode() + b"\n"
        with writing(self.path):
            if self._rotates:
                self._follow()
            with open(self.path, "r+b", buffering=0) as file:
                if os.fstat(file.fileno()).st_ino != self._inode:
                    raise OutputError(f"{self.path}: was replaced; another worker has taken over, or someone moved it")
                file.seek(self.length)
                view = memoryview(data)
                while view:
                    view = view[file.write(view) :]
        self.length += len(data)

    def _follow(self) -> None:
        self.path.touch()
        found = self.path.stat()
        if found.st_ino != self._inode or found.st_size < self.length:
            self._inode, self.length = found.st_ino, found.st_size

    def lines(self) -> list[str]:
        """All lines that count. Raises `OutputError`."""
        with writing(self.path):
            return [line.decode() for line in self.path.read_bytes()[: self.length].splitlines()]
