"""The writing end of a ring."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from raftline.packet_ring.files import ring_file, serials
from raftline.packet_ring.parameter_sets import is_annex_b, parameter_sets
from raftline.packet_ring.records import LENGTH, MAGIC, Stream, packet_body, shown_body

_LEAST_FILE_SECONDS = 1.0
"""A file holds at least so much: where every frame is a keyframe, each would else be a file. Chosen by hand."""
_FILES_OF_A_RING = 8
"""A file is closed at this part of the ring's bytes, keyframe or not, so the ring stays bounded. Chosen by hand."""


class PacketRing:
    """Writes a ring, from one thread. It goes on where an earlier writer of the folder stopped.

    Where the disk is full or the folder is gone, packets are left out and counted in `lost`, and nothing is raised.
    """

    def __init__(self, folder: Path, seconds: float, most_bytes: int) -> None:
        """
        Args:
            folder: of this ring alone; made if need be.
            seconds: kept at least, unless that takes more than `most_bytes`.
            most_bytes: of all files together.
        """
        self.lost = 0
        """Records that could not be written."""
        self._folder, self._seconds, self._most_bytes = folder, seconds, most_bytes
        self._stream: Stream | None = None
        self._told = b""
        self._file: int | None = None
        self._begun_ns = self._written = 0
        self._files: list[tuple[Path, int, int]] = []
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
        self._serial = 0
        for self._serial in serials(folder):
            path = ring_file(folder, self._serial)
            with contextlib.suppress(OSError):
                status = path.stat()
                self._files.append((path, status.st_mtime_ns, status.st_size))

    def begin(self, stream: Stream) -> None:
        """Packets of a new connection follow."""
        self._close_file(time.time_ns())
        self._stream, self._told = stream, b""

    def packet(self, pts: int | None, dts: int | None, arrival_ns: int, is_keyframe: bool, data: bytes) -> None:
        """Add a packet, in the order of arrival."""
        if is_keyframe:
            self._learn(data)
        at_keyframe = is_keyframe and arrival_ns - self._begun_ns >= _LEAST_FILE_SECONDS * 1e9
        if self._file is None or at_keyframe or self._written > self._most_bytes // _FILES_OF_A_RING:
            self._next_file(arrival_ns)
        self._write(packet_body(pts, dts, arrival_ns, is_keyframe, data))

    def shown(self, packet_pts: int | None, index: int, pts: int, time_base: Fraction) -> None:
        """Add what became of a packet."""
        if self._file is not None:
            self._write(shown_body(packet_pts, index, pts, time_base))

    def close(self) -> None:
        """Close the file; the ring stays, for readers and for the next writer."""
        self._close_file(time.time_ns())

    def _learn(self, keyframe: bytes) -> None:
        """Note the parameter sets that a camera sends with its frames, unless it has told the same ones before."""
        stream = self._stream
        assert stream is not None, "begin comes first"
        told = parameter_sets(stream.codec, keyframe) if is_annex_b(stream.extradata) else b""
        if told and told != self._told:
            if self._told or not stream.extradata:
                self.begin(replace(stream, extradata=told))
            self._told = told

    def _next_file(self, now_ns: int) -> None:
        assert self._stream is not None, "begin comes first"
        self._close_file(now_ns)
        self._trim(now_ns)
        header = self._stream.to_json()
        with contextlib.suppress(OSError):
            path = ring_file(self._folder, self._serial + 1)
            self._file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            self._serial += 1  # readers go from one number to the next
        self._begun_ns, self._written = now_ns, 0
        self._append(MAGIC + LENGTH.pack(len(header)) + header)

    def _write(self, body: bytes) -> None:
        self._append(LENGTH.pack(len(body)) + body)

    def _append(self, data: bytes) -> None:
        if self._file is None:
            self.lost += 1
            return
        try:
            whole = os.write(self._file, data) == len(data)
        except OSError:
            whole = False
        self._written += len(data)
        if not whole:  # nothing may follow a record that is cut off
            self.lost += 1
            self._close_file(time.time_ns())
            self._delete_oldest()

    def _close_file(self, now_ns: int) -> None:
        if self._file is not None:
            os.close(self._file)
            self._files.append((ring_file(self._folder, self._serial), now_ns, self._written))
            self._file = None

    def _trim(self, now_ns: int) -> None:
        """Delete the oldest files: those that ended too long ago, and those for whose bytes there is no room."""
        room = self._most_bytes - self._most_bytes // _FILES_OF_A_RING
        while self._files:
            _, ended_ns, _ = self._files[0]
            if now_ns - ended_ns <= self._seconds * 1e9 and sum(size for _, _, size in self._files) <= room:
                return
            self._delete_oldest()

    def _delete_oldest(self) -> None:
        with contextlib.suppress(OSError):
            self._files.pop(0)[0].unlink()
