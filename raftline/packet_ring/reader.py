"""A reading end of a ring."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from raftline.packet_ring.files import ring_file, serials
from raftline.packet_ring.records import LENGTH, MAGIC, Packet, Record, Stream, record_of

_CHUNK_BYTES = 1 << 18
"""Read at once. Chosen by hand: beyond most keyframes of 1080p."""
_MOST_HEADER_BYTES = 1 << 20
_MOST_RECORD_BYTES = 1 << 28
"""More is no record. Chosen by hand: beyond a frame of 8192x8192."""


class RingReader:
    """Follows a ring. It may lag as far as the ring reaches back; then it goes on with the oldest that is left."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._serial: int | None = None
        self._file: int | None = None
        self._stream: Stream | None = None
        self._rest = b""

    def seek(self, wall_ns: int) -> None:
        """Go to the last file that begins at a keyframe no later than a time; the oldest if there is none."""
        self.close()
        for serial in reversed(serials(self._folder)):
            self._open(serial)
            begins = next((record for record in self._records() if isinstance(record, Packet)), None)
            self.close()
            self._serial = serial
            if begins is not None and begins.is_keyframe and begins.arrival_ns <= wall_ns:
                return

    def read(self) -> list[Record]:
        """What was added since the last call, at most the rest of one file; empty if nothing."""
        if self._file is None and not self._open(self._serial):
            return []
        found = list(self._records())
        while not found and (following := self._next()) != self._serial:
            found = list(self._records())  # what came between the last look and the next file
            if not found:
                if not self._open(following):
                    break
                found = list(self._records())
        return found

    def close(self) -> None:
        """Close the file that is open."""
        if self._file is not None:
            os.close(self._file)
        self._file, self._stream, self._rest = None, None, b""

    def _open(self, serial: int | None) -> bool:
        """Open the file, or the oldest if it is gone or None is given."""
        self.close()
        for each in ([serial] if serial is not None else []) + serials(self._folder):
            with contextlib.suppress(OSError):
                self._file = os.open(ring_file(self._folder, each), os.O_RDONLY | os.O_CLOEXEC)
                self._serial = each
                return True
        return False

    def _next(self) -> int:
        assert self._serial is not None
        if ring_file(self._folder, self._serial + 1).exists():
            return self._serial + 1
        assert self._file is not None
        if os.fstat(self._file).st_nlink:
            return self._serial
        return next((each for each in serials(self._folder) if each > (self._serial or 0)), self._serial)

    def _records(self) -> Iterator[Record]:
        assert self._file is not None
        with contextlib.suppress(OSError):
            while data := os.read(self._file, _CHUNK_BYTES):
                self._rest += data
                if len(data) < _CHUNK_BYTES:
                    break
        if self._stream is None and not self._read_header():
            return
        assert self._stream is not None
        at = 0
        while at + LENGTH.size <= len(self._rest):
            (length,) = LENGTH.unpack_from(self._rest, at)
            if length > _MOST_RECORD_BYTES or at + LENGTH.size + length > len(self._rest):
                break
            body = memoryview(self._rest)[at + LENGTH.size : at + LENGTH.size + length]
            at += LENGTH.size + length
            record = record_of(self._stream, body)
            if record is not None:
                yield record
        self._rest = self._rest[at:]

    def _read_header(self) -> bool:
        begin = len(MAGIC) + LENGTH.size
        if len(self._rest) < begin:
            return False
        (length,) = LENGTH.unpack_from(self._rest, len(MAGIC))
        if not self._rest.startswith(MAGIC) or length > _MOST_HEADER_BYTES or len(self._rest) < begin + length:
            return False
        try:
            self._stream = Stream.from_json(self._rest[begin : begin + length])
        except (ValueError, KeyError, TypeError):
            return False
        self._rest = self._rest[begin + length :]
        return True
