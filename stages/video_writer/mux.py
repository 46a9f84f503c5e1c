"""An mp4 of spooled pictures and the input's sound, with every time stamp as it was."""

from __future__ import annotations

import heapq
import io
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer

from pipeline.errors import OutputError
from stages.video_writer.audio import AudioTracks
from stages.video_writer.input import ITUNES_KEYS
from stages.video_writer.spool import PacketPlace, SegmentReader


@dataclass(frozen=True)
class Mp4Report:
    """What was written."""

    frames: int
    audio: str
    """For people."""
    skipped_audio_packets: int


@dataclass(frozen=True)
class _Sample:
    """A picture in the output: which packet it is and when, in units of 1 / time_base.denominator s."""

    segment: SegmentReader
    place: PacketPlace
    pts: int
    dts: int
    duration: int
    first_of_segment: bool


def write_mp4(
    part: Path,
    segments: Sequence[SegmentReader],
    sound: Path | None,
    metadata: dict[str, str],
    start_at_zero: bool,
    cut_sound: bool,
) -> Mp4Report:
    """Write `part`, index first, so that it plays while it is loaded.

    sound: the file whose audio is taken over; None for none.
    start_at_zero: move everything so that the first picture or sound is at 0; else time stamps stay what they were,
    unless pictures lie before 0, where an mp4 shows none. cut_sound: leave out what sounds after the last picture.
    Raises `OSError` or `FFmpegError` where the file cannot be written, `OutputError` where the result is not whole.
    """
    track = segments[0].track
    scale = track.time_base.denominator
    samples = _samples(segments)
    container_options = {"movflags": _movflags(metadata), "movie_timescale": str(_movie_timescale(scale))}
    with av.open(str(part), "w", format="mp4", options=container_options) as output:
        output.metadata.update(metadata)
        target = _video_stream(output, segments[0], samples[0], scale)
        with closing(AudioTracks(sound, output)) as audio:
            shift = _shift(samples, audio, scale, start_at_zero)
            end = max(sample.pts + sample.duration for sample in samples) / scale if cut_sound else None
            pictures = _pictures(samples, target, scale, shift)
            for _, packet in heapq.merge(pictures, audio.packets(shift / scale, end), key=lambda timed: timed[0]):
                output.mux_one(packet)
            report = Mp4Report(len(samples), audio.description, audio.skipped_packets)
    _check(part, report.frames)
    return report


def _shift(samples: Sequence[_Sample], audio: AudioTracks, scale: int, start_at_zero: bool) -> int:
    """What is added to every time, in units of 1 / scale s.

    Pictures before 0 are not shown in an mp4 (its edit list cuts them off), so they move to 0 in any case, and the
    sound with them.
    """
    pictures = samples[0].pts
    if not start_at_zero:
        return max(0, -pictures)
    sound = audio.begin_seconds()
    return -pictures if sound is None else -min(pictures, round(sound * scale))


def _samples(segments: Sequence[SegmentReader]) -> list[_Sample]:
    """Decoding times that grow strictly and are never after presentation, for pictures that are shown as they come.

    For time stamps that grow they are the time stamps. Where those jump back (files exist that do), the pictures before
    are decoded earlier, and the true time stamps are kept; but an mp4 shows nothing from before its first picture's
    time, so a picture from before it is shown at it.
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


def _pictures(
    samples: Sequence[_Sample], target: av.VideoStream, scale: int, shift: int
) -> Iterator[tuple[float, av.Packet]]:
    time_base = Fraction(1, scale)
    expected = samples[0].segment.extradata
    for sample in samples:
        data = sample.segment.data(sample.place)
        if sample.first_of_segment and sample.segment.extradata != expected:
            # An encoder of another version set its parameters otherwise: they go before its first picture.
            data = sample.segment.extradata + data
        packet = av.Packet(data)
        packet.pts, packet.dts, packet.duration = sample.pts + shift, sample.dts + shift, sample.duration
        packet.time_base, packet.is_keyframe, packet.stream = time_base, sample.place.key, target
        yield packet.dts / scale, packet


def _video_stream(output: OutputContainer, segment: SegmentReader, first: _Sample, scale: int) -> av.VideoStream:
    head = io.BytesIO(segment.extradata + segment.data(first.place))
    with av.open(head, format="h264") as template:
        target = output.add_stream_from_template(template.streams.video[0])
    target.time_base = Fraction(1, scale)
    return target


def _movie_timescale(scale: int) -> int:
    """The start of a track is written in this unit: any multiple of the track's own keeps it exact."""
    return scale if scale >= 1000 else scale * -(-1000 // scale)


def _movflags(metadata: dict[str, str]) -> str:
    """With a key that iTunes does not know, FFmpeg has to write all of them the QuickTime way, or it drops that key."""
    known = all(key.split("-")[0] in ITUNES_KEYS for key in metadata)
    return "+faststart" if known else "+faststart+use_metadata_tags"


def _check(part: Path, frames: int) -> None:
    """A file that cannot be read back is not given the final name."""
    with av.open(str(part), "r") as written:
        found = written.streams.video[0].frames
    if found != frames:
        raise OutputError(f"{part}: holds {found} pictures where {frames} were written; is the disk full or failing?")
