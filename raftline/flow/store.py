"""Flow that was estimated before, or elsewhere, kept in a folder that any number of processes share.

Flow is found by the two images that it was estimated on, and by all that it depends on besides: so it cannot be that of
other frames, however those were numbered, decoded or scaled. Each process appends to a file of its own, and reads those
of the others as they grow. A process that dies leaves records that are whole, and perhaps one that is not, which ends
its file.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import struct
import time
import zlib
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from raftline.flow.result import Start

_LOOK_SECONDS = 0.5
"""Between two looks for what others have added. Chosen by hand: some reads of a folder a second."""
_HEAD = struct.Struct("<16sBHIIBI")
"""Key, start, updates, rows and columns of the grid, whether there is confidence, checksum of the arrays."""
_STARTS: tuple[Start, ...] = ("cold", "warm")
_CLOSED = "closed"


class StoredFlow(NamedTuple):
    """What is kept of a `FlowResult`."""

    grid_px: npt.NDArray[np.float32]
    """(H', W', 2) px."""
    start: Start
    """cold or warm."""
    iterations: int
    confidence: npt.NDArray[np.float32] | None = None
    """(H', W'); None: it was not asked for."""


class _Place(NamedTuple):
    file: FileIO
    offset: int
    head: tuple[int, int, int, int, int, int]


class FlowStore:
    """Flow by pairs of images. Not for use by several threads.

    Args:
        folder: Where it lies; made if it is not there.
        settings: All that flow depends on besides the images.

    Raises:
        OSError: The folder cannot be made.
    """

    def __init__(self, folder: Path, settings: str) -> None:
        self._folder, self._settings = folder, settings.encode()
        folder.mkdir(parents=True, exist_ok=True)
        self._own: FileIO | None = None
        self._own_name = f"{secrets.token_hex(8)}.flow"
        self._read: dict[str, tuple[FileIO, int]] = {}
        """Files, each with the number of bytes whose records are known."""
        self._places: dict[bytes, _Place] = {}
        self._next_look = 0.0
        self.trouble: OSError | None = None
        """Why nothing can be put into it any more; what is there can be had."""

    @property
    def closed(self) -> bool:
        """Whether whoever reads it is done, so that nothing more need be put into it (a file ``closed``)."""
        return (self._folder / _CLOSED).exists()

    def get(self, earlier: np.ndarray, later: np.ndarray, confidence: bool = False) -> StoredFlow | None:
        """Flow between two images, with its confidence if that is asked for; None: not there."""
        key = self._key(earlier, later, confidence)
        if key not in self._places and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _LOOK_SECONDS
            self._look()
        place = self._places.get(key)
        return None if place is None else _flow_at(place)

    def put(self, earlier: np.ndarray, later: np.ndarray, flow: StoredFlow) -> None:
        """Add the flow between two images. With the operating system when this returns, or there is `trouble`."""
        key = self._key(earlier, later, flow.confidence is not None)
        if key in self._places or self.trouble is not None:
            return
        arrays = [flow.grid_px] if flow.confidence is None else [flow.grid_px, flow.confidence]
        data = b"".join(np.ascontiguousarray(each, np.float32).tobytes() for each in arrays)
        start, (rows, columns) = _STARTS.index(flow.start), flow.grid_px.shape[:2]
        known = flow.confidence is not None
        record = _HEAD.pack(key, start, flow.iterations, rows, columns, known, zlib.crc32(data)) + data
        try:
            self._append(record)
        except OSError as error:
            self.trouble = error

    def close(self) -> None:
        """Close its files."""
        for file, _ in self._read.values():
            file.close()
        if self._own is not None:
            self._own.close()
        self._read, self._places, self._own = {}, {}, None

    def _append(self, record: bytes) -> None:
        if self._own is None:
            self._own = FileIO(self._folder / self._own_name, "x+")
        view = memoryview(record)
        while view:
            view = view[self._own.write(view) :]

    def _key(self, earlier: np.ndarray, later: np.ndarray, confidence: bool) -> bytes:
        digest = hashlib.blake2b(self._settings, digest_size=16)
        for image in (earlier, later):
            digest.update(f" {image.dtype} {image.shape} {confidence} ".encode())
            digest.update(np.ascontiguousarray(image).data)
        return digest.digest()

    def _look(self) -> None:
        """Take in what files have grown by."""
        for path in self._folder.glob("*.flow"):
            file, length = self._read.get(path.name) or (FileIO(path), 0)
            for key, place, end in _records(file, length):
                self._places.setdefault(key, place)
                length = end
            self._read[path.name] = file, length


def _records(file: FileIO, offset: int) -> Iterator[tuple[bytes, _Place, int]]:
    """Key, place and end of the whole records from `offset` on."""
    size = os.fstat(file.fileno()).st_size
    while offset + _HEAD.size <= size:
        key, *head = _HEAD.unpack(os.pread(file.fileno(), _HEAD.size, offset))
        place = _Place(file, offset + _HEAD.size, (head[0], head[1], head[2], head[3], head[4], head[5]))
        offset = place.offset + _bytes_of(place)
        if offset > size:
            return
        yield key, place, offset


def _bytes_of(place: _Place) -> int:
    _, _, rows, columns, known, _ = place.head
    return 4 * rows * columns * (3 if known else 2)


def _flow_at(place: _Place) -> StoredFlow | None:
    start, iterations, rows, columns, known, checksum = place.head
    data = os.pread(place.file.fileno(), _bytes_of(place), place.offset)
    if zlib.crc32(data) != checksum:
        return None
    values, cells = np.frombuffer(data, np.float32), rows * columns
    confidence = values[2 * cells :].reshape(rows, columns).copy() if known else None
    return StoredFlow(values[: 2 * cells].reshape(rows, columns, 2).copy(), _STARTS[start], iterations, confidence)
