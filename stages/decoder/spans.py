"""Parts of a file: where it can be cut, and the frames between two cuts.

A file is cut at key frames, and told apart by presentation times. Decoding begins a key frame earlier than the part
does: so the frames that an open group of pictures shows before its key frame, which refer to the group before, are
decoded like all others, and belong to the part before.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from math import ceil
from typing import Any, NamedTuple

import av
import av.error
from av.container import InputContainer
from av.video.stream import VideoStream

from pipeline.sections import Sections
from pipeline.segments import Span

_BACK_SECONDS = (0.0, 0.25, 1.0, 4.0, 16.0)
"""How far before a time its key frame is sought: MP4 goes by times of decoding, and leads to one that is shown later;
MPEG-TS leads to any packet. Chosen by hand."""
_MOST_LOOKED_AT = 400
"""Packets read after a seek in search of a key frame. Chosen by hand: more than a group of pictures has."""


def move_to(container: InputContainer, stream: VideoStream, pts: int | None) -> None:
    """Go on reading at the key frame at `pts`, or one before it; None: stay at the begin."""
    if pts is not None:
        container.seek(pts, stream=stream, backward=True, any_frame=False)


def in_span(
    frames: Iterator[av.VideoFrame], time_base: Fraction, first: int | None, end: int | None
) -> Iterator[av.VideoFrame]:
    """Those of the frames that begin at `first` or later, up to the first one at `end` or later."""
    for frame in frames:
        pts = frame.pts
        if pts is not None and frame.time_base not in (None, time_base):
            pts = round(pts * frame.time_base / time_base)
        if pts is None or (first is not None and pts < first):
            continue
        if end is not None and pts >= end:
            return
        yield frame


def spans_of(container: InputContainer, stream: VideoStream, seconds: float) -> list[Span]:
    """Parts of about `seconds`; none for a file that is not longer, or has too few key frames.

    Reads a few packets at each cut, not the file.
    """
    begin, length = _extent(container, stream)
    if length is None or stream.time_base is None or length <= seconds:
        return []
    count = ceil(length / seconds)
    step = length / count / float(stream.time_base)
    cuts: list[tuple[int, int]] = []  # key frame to decode from, key frame to begin at
    for number in range(1, count):
        key = _key_frame_before(container, stream, round(begin + number * step))
        before = None if key is None else _key_frame_before(container, stream, key.pts - 1)
        if key is not None and before is not None and key.pts > (cuts[-1][1] if cuts else begin):
            cuts.append((before.at, key.pts))
    if not cuts:
        return []
    edges = [(None, None), *cuts]
    ends = [key for _, key in cuts] + [None]
    return [Span(seek, first, end) for (seek, first), end in zip(edges, ends, strict=True)]


def sections_of(container: InputContainer, stream: VideoStream, sections: Sections) -> list[tuple[int, Span]]:
    """Sections of a file with their run-ups, by number; the last one with what is left. None for a file of one section.

    Reads a few packets at each section's begin, not the file.
    """
    begin, length = _extent(container, stream)
    if length is None or stream.time_base is None:
        return []
    tick, whole = stream.time_base, sections.seconds
    first = begin * tick // whole
    last = (begin * tick + Fraction(length) - whole / 2) // whole
    found: list[tuple[int, Span]] = []
    for number in range(first, last + 1):
        run_up, end = ceil((number * whole - sections.run_up_seconds) / tick), ceil((number + 1) * whole / tick)
        key = _key_frame_before(container, stream, run_up) if number > first else None
        before = None if key is None else _key_frame_before(container, stream, key.pts - 1)
        span = Span(before and before.at, run_up if number > first else None, end if number < last else None)
        found.append((number, span))
    return found if len(found) > 1 else []


def _extent(container: InputContainer, stream: VideoStream) -> tuple[int, float | None]:
    """Begin of a stream in its time base, and its length, s; None if it is not known."""
    if stream.duration is not None and stream.time_base is not None:
        return stream.start_time or 0, float(stream.duration * stream.time_base)
    if container.duration is None:
        return stream.start_time or 0, None
    return stream.start_time or 0, container.duration / av.time_base


class _KeyFrame(NamedTuple):
    pts: int
    at: int
    """Time to seek for it."""


def _key_frame_before(container: InputContainer, stream: VideoStream, pts: int) -> _KeyFrame | None:
    """The last key frame shown at `pts` or before, as far as the container finds it."""
    assert stream.time_base is not None
    for back_seconds in _BACK_SECONDS:
        at = max(pts - round(back_seconds / stream.time_base), stream.start_time or 0)
        found = _key_frame_at(container, stream, at)
        if found is not None and found <= pts:
            return _KeyFrame(found, at)
    return None


def _key_frame_at(container: InputContainer, stream: VideoStream, wanted: int) -> int | None:
    """Time of the key frame that seeking leads to."""
    try:
        container.seek(wanted, stream=stream, backward=True, any_frame=False)
        packets: Any = container.demux(stream)
        for packet in itertools.islice(packets, _MOST_LOOKED_AT):
            if packet.is_keyframe and packet.pts is not None and not packet.is_discard:
                return packet.pts
    except av.error.FFmpegError:
        pass
    return None
