"""What a ring's files hold: a header, and records of packets and of the frames that they became."""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Union

MAGIC = b"RAFTPKT1"
LENGTH = struct.Struct("<I")
_PACKET = struct.Struct("<BBqqq")
_SHOWN = struct.Struct("<BqqqII")
_PACKET_KIND, _SHOWN_KIND = 1, 2
_NO_TIME = -(1 << 63)


@dataclass(frozen=True)
class Stream:
    """What a decoder must know of the packets of one file."""

    codec: str
    """FFmpeg's name: ``h264``, ``hevc``, ``mjpeg``."""
    extradata: bytes
    """Parameter sets, as FFmpeg's ``AVCodecParameters.extradata``; may be empty."""
    width: int
    """px."""
    height: int
    """px."""
    time_base: Fraction
    """Seconds per unit of a packet's times."""
    epoch: int = 0
    """Of the connection: ns since 1970 when it began."""

    def to_json(self) -> bytes:
        values = {
            **asdict(self),
            "extradata": base64.b64encode(self.extradata).decode(),
            "time_base": str(self.time_base),
        }
        return json.dumps(values).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Stream:
        """Raises ValueError, KeyError or TypeError if it describes none."""
        values = json.loads(text)
        values["extradata"] = base64.b64decode(values["extradata"])
        return cls(**{**values, "time_base": Fraction(values["time_base"])})


@dataclass(frozen=True)
class Packet:
    """One packet as the camera sent it."""

    stream: Stream
    pts: int | None
    """In units of the stream's time base, not repaired."""
    dts: int | None
    arrival_ns: int
    """Wall clock, ns since 1970."""
    is_keyframe: bool
    data: bytes


@dataclass(frozen=True)
class Shown:
    """What became of a packet: a frame of the pipeline. Comes after its packet; a packet may become no frame."""

    stream: Stream
    packet_pts: int | None
    """`Packet.pts` of its packet. None: of the last one without a time; the first after a connection often has none."""
    index: int
    """`pipeline.messages.Frame.index`."""
    pts: int
    """`pipeline.messages.Header.pts`, repaired where the camera's is wrong."""
    time_base: Fraction
    """Seconds per unit of `pts`."""


Record = Union[Packet, Shown]


def packet_body(pts: int | None, dts: int | None, arrival_ns: int, is_keyframe: bool, data: bytes) -> bytes:
    """A `Packet` as it lies in a file, after its length."""
    return _PACKET.pack(_PACKET_KIND, is_keyframe, _number(pts), _number(dts), arrival_ns) + data


def shown_body(packet_pts: int | None, index: int, pts: int, time_base: Fraction) -> bytes:
    """A `Shown` as it lies in a file, after its length."""
    return _SHOWN.pack(_SHOWN_KIND, _number(packet_pts), index, pts, time_base.numerator, time_base.denominator)


def _number(time_units: int | None) -> int:
    return _NO_TIME if time_units is None else time_units


def _time(number: int) -> int | None:
    return None if number == _NO_TIME else number


def record_of(stream: Stream, body: memoryview) -> Record | None:
    """The record; None for a kind of a later version."""
    if body[0] == _PACKET_KIND:
        _, keyframe, pts, dts, arrival_ns = _PACKET.unpack_from(body)
        return Packet(stream, _time(pts), _time(dts), arrival_ns, bool(keyframe), bytes(body[_PACKET.size :]))
    if body[0] == _SHOWN_KIND:
        _, packet_pts, index, pts, numerator, denominator = _SHOWN.unpack_from(body)
        return Shown(stream, _time(packet_pts), index, pts, Fraction(numerator, denominator))
    return None
