"""The containers that can be written, and what each holds."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, Literal

import av
from av.error import FFmpegError

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
    counts_frames: bool = True
    """Whether the finished file says how many frames it has."""

    def holds(self, stream: Any) -> bool:
        """Whether FFmpeg writes a stream like this one of an input, without encoding it anew."""
        if self.played_sound is not None and stream.type == "audio":
            codec = stream.codec_context.codec.canonical_name
            if codec not in self.played_sound:
                return False
        output = av.open(io.BytesIO(), "w", format=self.format)
        try:
            output.add_stream_from_template(stream)
            output.start_encoding()
        except (FFmpegError, ValueError):
            return False
        finally:
            _close(output)
        return True


_PLAYED_IN_MP4 = frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"})
"""Codecs with a registered mp4 mapping that players know (mp4ra.org). FFmpeg writes others too, but few play them."""
CONTAINERS: dict[ContainerName, Container] = {
    "mp4": Container("mp4", "mp4", "mov_text", _PLAYED_IN_MP4),
    "mov": Container("mov", "mov", "mov_text"),
    "mkv": Container("mkv", "matroska", "subrip", counts_frames=False),
}
SUFFIXES = tuple(f".{name}" for name in CONTAINERS)


def _close(output: Any) -> None:
    """Close a file in memory that nobody reads, whatever its muxer says of it."""
    try:
        output.close()
    except (FFmpegError, ValueError):
        pass
