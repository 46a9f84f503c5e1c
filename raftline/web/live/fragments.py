"""Fragmented MP4 for Media Source Extensions: a beginning that describes the video, then a fragment for each frame.

FFmpeg writes the beginning. The fragments are written here, since FFmpeg holds a frame back until the next one has
come, and copies it more often. Source of the boxes: ISO/IEC 14496-12, of the units in them 14496-15.
"""

from __future__ import annotations

import io
import struct
from typing import Any

import av
from av.error import FFmpegError

from raftline.packet_ring import Stream
from raftline.packet_ring.parameter_sets import unit_type, units

TICKS = 90_000
"""Units of the fragments' times per second, as in RTP."""
_NOT_IN_MP4 = {"h264": {7, 8, 9}, "hevc": {32, 33, 34, 35}}
"""Types of units that the beginning holds (parameter sets), or that separate frames."""
_SYNC_FLAGS, _OTHER_FLAGS = 0x02000000, 0x01010000
"""Sample flags: depends on no other; depends on others and is no sync sample."""
_TFHD = struct.pack(">I4sII", 16, b"tfhd", 0x020000, 1)
_SUPPORTED = frozenset(("h264", "hevc"))


class NotPlayable(Exception):
    """No browser plays these packets as they are."""


def beginning(stream: Stream, keyframe: bytes) -> tuple[str, bytes]:
    """The MIME type with its codec, and the boxes before the first fragment.

    Args:
        stream: of the ring.
        keyframe: its first packet.

    Raises:
        NotPlayable: the codec is neither H.264 nor H.265, or the packet is damaged.
    """
    sets = {unit_type(stream.codec, unit): unit.tobytes() for unit in units(stream.extradata)}
    if stream.codec not in _SUPPORTED or not sets:
        raise NotPlayable(f"browsers do not play {stream.codec} packets")
    written = io.BytesIO()
    options = {"movflags": "empty_moov+default_base_moof", "video_track_timescale": str(TICKS)}
    try:
        known = av.open(io.BytesIO(stream.extradata + keyframe), format=stream.codec)
        container: Any = av.open(written, "w", format="mp4", options=options)
        track = container.add_stream_from_template(known.streams.video[0])
        if stream.codec == "hevc":
            track.codec_tag = "hvc1"
        container.start_encoding()
        boxes = written.getvalue()
    except (FFmpegError, IndexError) as error:
        raise NotPlayable(f"damaged packets: {error}") from error
    codec = _avc(sets[7]) if stream.codec == "h264" else _hvc(sets[33])
    return f'video/mp4; codecs="{codec}"', boxes


def fragment(number: int, dts: int, pts: int, duration: int, is_keyframe: bool, data: bytes) -> bytes:
    """One frame as a fragment.

    Args:
        number: of the fragment; each is larger than the one before.
        dts: decoding time in `TICKS`.
        pts: presentation time in `TICKS`.
        duration: until the next frame, in `TICKS`.
        is_keyframe: whether it can be decoded by itself.
        data: units with their length before them, see `with_lengths`.
    """
    flags = _SYNC_FLAGS if is_keyframe else _OTHER_FLAGS
    tfdt = struct.pack(">I4sIQ", 20, b"tfdt", 0x01000000, dts)
    size = 8 + 16 + 8 + len(_TFHD) + len(tfdt) + 36
    sample = struct.pack(">IIIi", duration, len(data), flags, pts - dts)
    trun = struct.pack(">I4sIIi", 36, b"trun", 0x01000F01, 1, size + 8) + sample
    mfhd = struct.pack(">I4sII", 16, b"mfhd", 0, number)
    traf = struct.pack(">I4s", size - 24, b"traf") + _TFHD + tfdt + trun
    return struct.pack(">I4s", size, b"moof") + mfhd + traf + struct.pack(">I4s", 8 + len(data), b"mdat") + data


def with_lengths(codec: str, data: bytes) -> bytes:
    """A packet's units with their length before them in place of a start code, as MP4 has them."""
    left_out = _NOT_IN_MP4[codec]
    kept = []
    for unit in units(data):
        if unit_type(codec, unit) not in left_out:
            kept += [len(unit).to_bytes(4, "big"), unit]
    return b"".join(kept)


def _avc(sps: bytes) -> str:
    """RFC 6381: profile, constraints and level as they stand in the SPS."""
    return f"avc1.{sps[1:4].hex()}"


def _hvc(sps: bytes) -> str:
    """ISO/IEC 14496-15, annex E.3: profile space and profile, compatibility, tier and level, constraints."""
    raw = sps.replace(b"\0\0\3", b"\0\0")[3:15]
    space, tier, profile = raw[0] >> 6, raw[0] >> 5 & 1, raw[0] & 31
    compatible = int(f"{int.from_bytes(raw[1:5], 'big'):032b}"[::-1], 2)
    constraints = "".join(f".{byte:X}" for byte in raw[5:11].rstrip(b"\0"))
    return f"hvc1.{' ABC'[space].strip()}{profile}.{compatible:X}.{'LH'[tier]}{raw[11]}{constraints}"
