"""Write a file from spooled packets and the input's other tracks, with every time stamp as it was."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import OutputContainer
from av.stream import Disposition

from pipeline.errors import OutputError
from stages.shared.media_files import RemoteFile, ffmpeg_name, open_media
from stages.video_writer.codecs import CODECS
from stages.video_writer.containers import Container
from stages.video_writer.encoder import set_up
from stages.video_writer.input import ITUNES_KEYS
from stages.video_writer.spool import PacketPlace, SegmentReader
from stages.video_writer.tracks import InputTracks, TracksReport


@dataclass(frozen=True)
class _Sample:
    """A frame of the output: its packet and its times, in units of 1 / time_base.denominator s."""

    segment: SegmentReader
    place: PacketPlace
    pts: int
    dts: int
    duration: int
    first_of_segment: bool


@dataclass(frozen=True)
class Wanted:
    """What goes into the file besides the video."""

    container: Container
    source: Path | RemoteFile | None
    """File whose other tracks are taken over; None: none are."""
    metadata: dict[str, str]
    """Of the container."""
    track_metadata: dict[str, str]
    """Of the video track."""
    audio: bool
    start_at_zero: bool
    """Shift everything so that the first frame or sound is at 0. Else time stamps stay as they were, unless frames lie
    before 0, which an mp4 does not show."""
    cut: bool
    """Leave out what comes after the last frame."""


def write_video(part: Path, segments: Sequence[SegmentReader], wanted: Wanted) -> TracksReport:
    """Write `part`; mp4 and QuickTime with the index first, so that it plays while it loads.

    Args:
        part: file to write.
        segments: the spooled packets, in order.
        wanted: what else goes in.

    Raises:
        OSError, FFmpegError: the file cannot be written.
        OutputError: the result is not complete.
    """
    track = segments[0].track
    scale = track.time_base.denominator
    samples = _samples(segments)
    options = _options(wanted, scale)
    with av.open(ffmpeg_name(part), "w", format=wanted.container.format, options=options) as output:
        output.metadata.update(wanted.metadata)
        target = _video_stream(output, segments[0], scale, wanted)
        with closing(InputTracks(wanted.source, track.stream_index, output, wanted.container, wanted.audio)) as others:
            shift = _shift(samples, others, scale, wanted.start_at_zero)
            end = max(sample.pts + sample.duration for sample in samples) / scale if wanted.cut else None
            others.add_chapters(Fraction(shift, scale), end)
            output.start_encoding()
            extradata = bytes(target.codec_context.extradata or b"")
            video = _video_packets(samples, target, scale, shift, extradata)
            for _, packet in heapq.merge(video, others.packets(shift / scale, end), key=lambda timed: timed[0]):
                output.mux_one(packet)
            report = others.report
    _check(part, len(samples), wanted.container)
    return report


def _shift(samples: Sequence[_Sample], others: InputTracks, scale: int, start_at_zero: bool) -> int:
    """Added to every time, in units of 1 / scale s.

    An mp4 does not show frames before 0 (its edit list cuts them off), so they move to 0 in any case, and the audio
    with them.
    """
    video = samples[0].pts
    if not start_at_zero:
        return max(0, -video)
    sound = others.begin_seconds()
    return -video if sound is None else -min(video, round(sound * scale))


def _samples(segments: Sequence[SegmentReader]) -> list[_Sample]:
    """Give frames decoding times that grow strictly and are never later than presentation.

    Decoding times equal presentation times as long as those grow. Where they jump back (such files exist), the frames
    before are decoded earlier and the true presentation times are kept. But an mp4 shows nothing from before the time
    of its first frame, so a frame from before it is shown at that time.
    """
    track = segments[0].track
    unit = track.time_base.numerator
    places = [(s, place, i == 0) for s in segments for i, place in enumerate(s.places())]
    usual = round(track.time_base.denominator / track.rate)
    samples: list[_Sample] = []
    following: int | None = None
    for segment, place, first in reversed(places):
        pts = max(place.pts, places[0][1].pts) * unit
        dts = pts if following is None else min(pts, following - 1)
        known = place.duration * unit if place.duration else usual
        duration = known if following is None else following - dts
        samples.append(_Sample(segment, place, pts, dts, max(1, duration), first))
        following = dts
    return samples[::-1]


def _video_packets(
    samples: Sequence[_Sample], target: Any, scale: int, shift: int, extradata: bytes
) -> Iterator[tuple[float, av.Packet]]:
    time_base = Fraction(1, scale)
    for sample in samples:
        data = sample.segment.data(sample.place)
        if sample.first_of_segment and sample.segment.extradata != extradata:
            # An encoder of another version has other parameters: they go before its first frame.
            data = sample.segment.extradata + data
        packet = av.Packet(data)
        packet.pts, packet.dts, packet.duration = sample.pts + shift, sample.dts + shift, sample.duration
        packet.time_base, packet.is_keyframe, packet.stream = time_base, sample.place.key, target
        yield packet.dts / scale, packet


def _video_stream(output: OutputContainer, segment: SegmentReader, scale: int, wanted: Wanted) -> Any:
    """The video track, described by an encoder like the one that made the packets."""
    track = segment.track
    codec = CODECS[track.codec]
    target: Any = output.add_stream(codec.encoder, rate=track.rate)
    set_up(target.codec_context, track, segment.options)
    if codec.tag is not None and wanted.container.format in ("mp4", "mov"):
        target.codec_context.codec_tag = codec.tag
    target.time_base = Fraction(1, scale)
    target.metadata.update(wanted.track_metadata)
    target.disposition = Disposition.default.value  # not every PyAV takes the flag itself
    return target


def _options(wanted: Wanted, scale: int) -> dict[str, str]:
    if wanted.container.format == "matroska":
        return {}
    return {"movflags": _movflags(wanted.metadata), "movie_timescale": str(_movie_timescale(scale))}


def _movie_timescale(scale: int) -> int:
    """Unit in which the start of a track is written, 1 ms or finer.

    A multiple of the track's own keeps the start exact.
    """
    return scale if scale >= 1000 else scale * -(-1000 // scale)


def _movflags(metadata: dict[str, str]) -> str:
    """FFmpeg drops keys that iTunes does not know, unless it writes all of them the QuickTime way."""
    known = all(key.split("-")[0] in ITUNES_KEYS for key in metadata)
    return "+faststart" if known else "+faststart+use_metadata_tags"


def _check(part: Path, frames: int, container: Container) -> None:
    """Read the file back before it gets its final name."""
    with open_media(part) as written:
        stream = written.streams.video[0]
        if container.counts_frames:
            found = stream.frames
        else:
            found = sum(1 for packet in written.demux(stream) if packet.size)
    if found != frames:
        raise OutputError(f"{part}: holds {found} frames where {frames} were written; check the disk")
