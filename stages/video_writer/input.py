"""What an output takes over from its input file: color tags, pixel aspect, frame rate, metadata."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.error import FFmpegError

from pipeline.input_paths import local_path, scheme_of
from pipeline.stage import SourceInfo
from stages.shared.media_files import RemoteFile, best_video_stream, open_media
from stages.video_writer.hdr import Mastering
from stages.video_writer.side_data import lost_with

UNSPECIFIED = 2
"""ISO/IEC 23091-2: color primaries or transfer characteristics are not known."""
ITUNES_KEYS = frozenset(
    {"title", "artist", "album", "album_artist", "composer", "performer", "date", "comment", "genre", "copyright"}
    | {"grouping", "lyrics", "description", "synopsis", "show", "episode_id", "network", "keywords", "disc", "track"}
    | {"creation_time"}
)
"""Metadata keys that FFmpeg writes as iTunes does, the form most players read (libavformat/movenc.c)."""
TIME_CODE = "timecode"
_OF_THE_CONTAINER = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration", TIME_CODE}
_HDR = frozenset({16, 18})
"""Transfer characteristics of PQ and HLG, ISO/IEC 23091-2."""


@dataclass(frozen=True)
class InputFacts:
    """Facts of the stream that was decoded and the container."""

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
    """Of the container."""
    track_metadata: dict[str, str] = field(default_factory=dict)
    """Of the stream: ``title``, ``language``, ``timecode``."""
    mastering: Mastering | None = None
    lost: tuple[str, ...] = ()
    """What the first frame carries beside its pixels that the output will not."""


def input_file(source: SourceInfo, decoded: bool, ca_file: str | None = None) -> Path | RemoteFile | None:
    """The file that a source reads; None for cameras, folders of images, and what is no file at all.

    Args:
        source: that is read.
        decoded: whether its frames came from a container, so that a file that is missing was there.
        ca_file: certificates for a file that is read over https.
    """
    if source.live:
        return None
    if scheme_of(source.input) in ("http", "https"):
        return RemoteFile(source.input, ca_file)
    path = local_path(source.input)
    return path if path is not None and (decoded or path.is_file()) else None


def read_facts(file: Path | RemoteFile | None, stream_index: int | None) -> InputFacts:
    """The facts of a file; defaults for what FFmpeg cannot open as one file (rendered scenes).

    Args:
        file: None: there is none.
        stream_index: of the stream that was decoded, as in `Frame`; None: the best one.
    """
    if file is None:
        return InputFacts()
    try:
        container = open_media(file)
    except (OSError, FFmpegError, ValueError):
        return InputFacts()
    with container:
        metadata = {_spelling(key): value for key, value in container.metadata.items() if _is_content(key)}
        stream = _stream(container, stream_index)
        if not isinstance(stream, av.VideoStream) or stream.codec_context is None:
            return InputFacts(metadata=metadata)
        facts = _video_facts(stream, metadata)
        frame = _first_frame(container, stream)
        if frame is None:
            return facts
        # The mastering data of HDR10 are in the frames.
        mastering = Mastering.of(frame) if facts.transfer in _HDR else None
        return replace(facts, mastering=mastering, lost=tuple(lost_with(frame)))


def _stream(container: InputContainer, index: int | None) -> Any:
    if index is None:
        return best_video_stream(container)
    return container.streams[index] if index < len(container.streams) else None


def _is_content(key: str) -> bool:
    return key.lower() not in _OF_THE_CONTAINER and not key.startswith("encoder-")


def _spelling(key: str) -> str:
    """Matroska writes the common keys in upper case, mp4 in lower case."""
    return key.lower() if key.lower() in ITUNES_KEYS else key


def _video_facts(stream: av.VideoStream, metadata: dict[str, str]) -> InputFacts:
    return InputFacts(
        width=stream.width,
        height=stream.height,
        rate=stream.average_rate or None,
        pixel_aspect=stream.sample_aspect_ratio or Fraction(1),
        primaries=int(stream.codec_context.color_primaries),
        transfer=int(stream.codec_context.color_trc),
        end_seconds=_end_seconds(stream),
        metadata=metadata,
        track_metadata=_track_metadata(stream),
    )


def _end_seconds(stream: av.VideoStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    # Matroska writes the time at which a track ends among its tags.
    match = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3]) if match else None


def _track_metadata(stream: av.VideoStream) -> dict[str, str]:
    """The stream's title and language, and the time code: FFmpeg tells it of the container, the stream or a track."""
    said = {
        "title": stream.metadata.get("title") or stream.metadata.get("name"),
        "language": stream.metadata.get("language"),
    }
    others = [other.metadata for other in stream.container.streams]
    places = (stream.metadata, stream.container.metadata, *others)
    codes = [value for metadata in places for key, value in metadata.items() if key.lower() == TIME_CODE]
    code = next((code for code in codes if _is_time_code(code, stream.average_rate)), None)
    return {key: value for key, value in {**said, TIME_CODE: code}.items() if value}


def _is_time_code(code: str, rate: Fraction | None) -> bool:
    """Whether a muxer takes it: drop-frame codes count at 29.97 and 59.94 frames per second only (SMPTE ST 12-1)."""
    match = re.fullmatch(r"\d\d:\d\d:\d\d([:;.])\d\d", code)
    return match is not None and (match[1] == ":" or (rate is not None and round(rate) in (30, 60)))


def _first_frame(container: InputContainer, stream: av.VideoStream) -> av.VideoFrame | None:
    try:
        return next(container.decode(stream), None)
    except (FFmpegError, ValueError):
        return None
