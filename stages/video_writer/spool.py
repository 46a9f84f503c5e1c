"""Encoded packets on disk, until the mp4 can be written.

An mp4 has its index at the end: if its writer is killed, it is lost. So packets are appended to a spool, which is
readable up to the end of any record, and the mp4 is written from it in one go.

A spool is a list of segments, one for each process that worked on it. Only the process that created a segment ever
writes it: a worker that takes over records how many bytes of the earlier segments count, and starts a segment of its
own. So nothing has to be truncated or locked, and a worker that was thought dead cannot spoil its
successor's work.

Layout of a segment, all little-endian: the 8 bytes of `MAGIC`, a length (uint32) and that many bytes of JSON, then
records: `_RECORD` and a packet of as many bytes as it says, as the encoder made it.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from io import FileIO
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import OutputError
from pipeline.messages import ColorRange, ColorSpace
from stages.shared.output_errors import writing
from stages.video_writer.codecs import CodecName
from stages.video_writer.hdr import Mastering

MAGIC = b"RLSPOOL2"
_LENGTH = struct.Struct("<I")
_RECORD = struct.Struct("<qqBI")  # pts, duration (-1: unknown), key flag, size of the data


@dataclass(frozen=True)
class VideoTrack:
    """What all packets of a video have in common."""

    width: int
    """px, even"""
    height: int
    """px, even"""
    time_base: Fraction
    """Seconds per unit of pts and duration."""
    rate: Fraction
    """Frames per second, only a hint; the time stamps count."""
    color_space: ColorSpace
    """``bt601``, ``bt709`` or ``bt2020``"""
    color_range: ColorRange
    """``tv`` or ``pc``"""
    primaries: int
    """ISO/IEC 23091-2"""
    transfer: int
    """ISO/IEC 23091-2"""
    pixel_aspect: Fraction
    """Width of a pixel divided by its height."""
    codec: CodecName = "h264"
    format: Literal["yuv420p", "yuv420p10"] = "yuv420p"
    mastering: Mastering | None = None
    stream_index: int | None = None
    """Of the stream of the input file that was decoded, as in `Frame`."""

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        mastering = self.mastering and self.mastering.to_json()
        values = {**vars(self), "mastering": mastering}
        return {key: str(value) if isinstance(value, Fraction) else value for key, value in values.items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> VideoTrack:
        """The track that `to_json` described."""
        made: dict[str, Any] = {key: Fraction(values[key]) for key in ("time_base", "rate", "pixel_aspect")}
        made["mastering"] = Mastering.from_json(values["mastering"]) if values["mastering"] else None
        return cls(**{**values, **made})


@dataclass(frozen=True)
class Packet:
    """One encoded frame."""

    pts: int
    duration: int | None
    key: bool
    data: bytes


@dataclass(frozen=True)
class PacketPlace:
    """Position of a packet in a segment."""

    pts: int
    duration: int | None
    key: bool
    size: int
    offset: int


def segment_path(final: Path, segment_id: str) -> Path:
    return final.with_name(f"{final.name}.spool-{segment_id}.part")


def remove_segments(final: Path) -> None:
    """Delete all segments of an output, whichever process or run left them. Raises `OutputError`."""
    prefix = f"{final.name}.spool-"
    with writing(final):
        for path in final.parent.iterdir():
            if path.name.startswith(prefix) and path.suffix == ".part":
                path.unlink(missing_ok=True)


class SegmentWriter:
    """Appends packets. Each is with the operating system when the call returns, so a kill loses none."""

    def __init__(self, final: Path, track: VideoTrack, extradata: bytes, options: dict[str, str]) -> None:
        """
        Args:
            final: name of the output.
            track: of all packets.
            extradata: what a decoder needs before the first packet.
            options: of the encoder.

        Raises:
            OutputError: the segment cannot be written.
        """
        self.id = secrets.token_hex(8)
        self.path = segment_path(final, self.id)
        self.track = track
        self.length = 0
        encoded_extradata = base64.b64encode(extradata).decode("ascii")
        header = {"id": self.id, "track": track.to_json(), "extradata": encoded_extradata, "options": options}
        encoded = json.dumps(header).encode()
        with writing(self.path):
            self._file = FileIO(self.path, "x+")
        self._write(MAGIC + _LENGTH.pack(len(encoded)) + encoded)

    def append(self, packet: Packet) -> None:
        """Raises `OutputError`."""
        duration = -1 if packet.duration is None else packet.duration
        self._write(_RECORD.pack(packet.pts, duration, packet.key, len(packet.data)) + packet.data)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        with writing(self.path):
            while view:
                view = view[self._file.write(view) :]
        self.length += len(data)

    def reader(self) -> SegmentReader:
        """A reader of what was written so far."""
        return SegmentReader(self.path, self.id, self.length, FileIO(os.dup(self._file.fileno())))

    def close(self) -> None:
        self._file.close()


class SegmentReader:
    """The first `length` bytes of a segment. The file stays open, so deleting it meanwhile does no harm."""

    @classmethod
    def open(cls, final: Path, segment_id: str, length: int) -> SegmentReader:
        """A segment that an earlier process wrote. Raises `OutputError` if it is missing, shorter, or another one."""
        path = segment_path(final, segment_id)
        with writing(path):
            return cls(path, segment_id, length, FileIO(path))

    def __init__(self, path: Path, segment_id: str, length: int, file: FileIO) -> None:
        """Raises `OutputError` if the file is shorter than `length`, or another segment."""
        self.id = segment_id
        self.path = path
        self.length = length
        self._file = file
        found = os.fstat(self._file.fileno()).st_size
        if found < length:
            raise OutputError(
                f"{self.path}: holds {found} bytes where {length} were written; the video is incomplete, run again"
            )
        start = len(MAGIC) + _LENGTH.size
        head = self._read(0, start)
        if head[: len(MAGIC)] != MAGIC:
            raise OutputError(f"{self.path}: is not a spool of this version; remove it and run again")
        size = _LENGTH.unpack(head[len(MAGIC) :])[0]
        header = json.loads(self._read(start, size))
        if header["id"] != segment_id:
            raise OutputError(f"{self.path}: holds segment {header['id']}, not {segment_id}; remove it and run again")
        self.track = VideoTrack.from_json(header["track"])
        self.extradata = base64.b64decode(header["extradata"])
        self.options: dict[str, str] = header["options"]
        self._begin = start + size

    def places(self) -> Iterator[PacketPlace]:
        """The position of every packet, in the order of writing."""
        offset = self._begin
        while offset < self.length:
            pts, duration, key, size = _RECORD.unpack(self._read(offset, _RECORD.size))
            offset += _RECORD.size
            yield PacketPlace(pts, None if duration < 0 else duration, bool(key), size, offset)
            offset += size

    def data(self, place: PacketPlace) -> bytes:
        return self._read(place.offset, place.size)

    def _read(self, offset: int, size: int) -> bytes:
        data = os.pread(self._file.fileno(), size, offset)
        if len(data) != size:
            raise OutputError(f"{self.path}: ends early, at byte {offset + len(data)}; remove it and run again")
        return data

    def close(self) -> None:
        self._file.close()
