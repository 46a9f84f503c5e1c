"""What an output takes over from its input file: color tags, pixel aspect, frame rate, metadata."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError

UNSPECIFIED = 2
"""ISO/IEC 23091-2: color primaries or transfer characteristics are not known."""
ITUNES_KEYS = frozenset(
    {"title", "artist", "album", "album_artist", "composer", "performer", "date", "comment", "genre", "copyright"}
    | {"grouping", "lyrics", "description", "synopsis", "show", "episode_id", "network", "keywords", "disc", "track"}
    | {"creation_time"}
)
"""Metadata keys that FFmpeg writes as iTunes does, the form most players read (libavformat/movenc.c)."""
_OF_THE_CONTAINER = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration"}


@dataclass(frozen=True)
class InputFacts:
    """Facts of the main video stream and the container."""

    width: int = 0
    """px, as coded, before rotation"""
    height: int = 0
    rate: Fraction | None = None
    """Mean frames per second."""
    pixel_aspect: Fraction = Fraction(1)
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    end_seconds: float | None = None
    """Presentation time at which the video ends, s."""
    metadata: dict[str, str] = field(default_factory=dict)


def open_input(path: Path) -> InputContainer:
    """Open a local file, and nothing else that it may point to."""
    return av.open(str(path), "r", options={"protocol_whitelist": "file"}, metadata_errors="replace")


def read_facts(path: Path | None) -> InputFacts:
    """The facts of a file; defaults for what FFmpeg cannot open as one file (folders of images, rendered scenes)."""
    if path is None:
        return InputFacts()
    try:
        container = open_input(path)
    except (OSError, FFmpegError):
        return InputFacts()
    with container:
        metadata = {_spelling(key): value for key, value in container.metadata.items() if _is_content(key)}
        stream = container.streams.best("video")
        if not isinstance(stream, av.VideoStream):
            return InputFacts(metadata=metadata)
        return _video_facts(stream, metadata)


def _is_content(key: str) -> bool:
    return key.lower() not in _OF_THE_CONTAINER and not key.startswith("encoder-")


def _spelling(key: str) -> str:
    """Matroska writes the common keys in upper case, mp4 in lower case."""
    return key.lower() if key.lower() in ITUNES_KEYS else key


def _video_facts(stream: av.VideoStream, metadata: dict[str, str]) -> InputFacts:
    end = None
    if stream.duration is not None and stream.time_base is not None:
        end = float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    return InputFacts(
        width=stream.width,
        height=stream.height,
        rate=stream.average_rate or None,
        pixel_aspect=stream.sample_aspect_ratio or Fraction(1),
        primaries=int(stream.codec_context.color_primaries),
        transfer=int(stream.codec_context.color_trc),
        end_seconds=end,
        metadata=metadata,
    )
