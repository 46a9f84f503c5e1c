"""The containers that can be written, and what each holds."""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import av
from av.error import FFmpegError

_TELEMETRY = b"gpmd"
"""Sample entry of a GoPro's telemetry: the only data, besides time codes, of which FFmpeg writes what they are."""
ContainerName = Literal["mp4", "mkv", "mov"]


@dataclass(frozen=True)
class Container:
    """A kind of file."""

    name: ContainerName
    """As the option says it; also the suffix."""
    format: str
    """FFmpeg's name of the muxer."""
    text: str
    """Codec that text subtitles become if it cannot hold theirs."""
    played_sound: frozenset[str] | None = None
    """Codecs of sound that players know in it; None: all that FFmpeg writes."""
    holds_covers: bool = False
    """Whether cover art is written into it."""
    counts_frames: bool = True
    """Whether the finished file says how many frames it has."""

    def holds(self, stream: Any) -> bool:
        """Whether FFmpeg writes a stream like this one of an input, without encoding it anew."""
        if self.played_sound is not None and stream.type == "audio":
            codec = stream.codec_context.codec.canonical_name
            if codec not in self.played_sound:
                return False
        file = io.BytesIO()
        output = av.open(file, "w", format=self.format)
        try:
            target = output.add_stream_from_template(stream)
            output.start_encoding()
            if stream.type == "data":
                output.mux_one(_data_packet(target))
        except (FFmpegError, ValueError):
            return False
        finally:
            _close(output)
        return stream.type != "data" or _TELEMETRY in file.getvalue()


_PLAYED_IN_MP4 = frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"})
"""Codecs with a registered mp4 mapping that players know (mp4ra.org). FFmpeg writes others too, but few play them."""
CONTAINERS: dict[ContainerName, Container] = {
    "mp4": Container("mp4", "mp4", "mov_text", _PLAYED_IN_MP4, holds_covers=True),
    "mov": Container("mov", "mov", "mov_text"),
    "mkv": Container("mkv", "matroska", "subrip", counts_frames=False),
}
SUFFIXES = tuple(f".{name}" for name in CONTAINERS)


def _data_packet(target: Any) -> av.Packet:
    packet = av.Packet(bytes(8))
    packet.pts = packet.dts = 0
    packet.stream, packet.time_base = target, Fraction(1, 1000)
    return packet


def _close(output: Any) -> None:
    """Close a file in memory that nobody reads, whatever its muxer says of it."""
    try:
        output.close()
    except (FFmpegError, ValueError):
        pass
