"""Write an mp4 from spooled packets and the input's audio, with every time stamp as it was."""

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
    """What was done with the audio, for the status."""
    skipped_audio_packets: int


@dataclass(frozen=True)
class _Sample:
    """A frame of the output: its packet and its times, in units of 1 / time_base.denominator s."""

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
    """Write `part` with its index first, so that it plays while it loads.

    Args:
        part: file to write.
        segments: the spooled packets, in order.
        sound: file whose audio is taken over; None: no audio.
        metadata: of the container.
        start_at_zero: shift everything so that the first frame or sound is at 0. Else time stamps stay as they were,
            unless frames lie before 0, which an mp4 does not show.
        cut_sound: leave out audio after the last frame.

    Raises:
        OSError, FFmpegError: the file cannot be written.
        OutputError: the result is not complete.
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
            video = _video_packets(samples, target, scale, shift)
            for _, packet in heapq.merge(video, audio.packets(shift / scale, end), key=lambda timed: timed[0]):
                output.mux_one(packet)
            report = Mp4Report(len(samples), audio.description, audio.skipped_packets)
    _check(part, report.frames)
    return report


def _shift(samples: Sequence[_Sample], audio: AudioTracks, scale: int, start_at_zero: bool) -> int:
    """Added to every time, in units of 1 / scale s.

    An mp4 does not show frames before 0 (its edit list cuts them off), so they move to 0 in any case, and the audio
    with them.
    """
    video = samples[0].pts
    if not start_at_zero:
        return max(0, -video)
    sound = audio.begin_seconds()
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
    samples: Sequence[_Sample], target: av.VideoStream, scale: int, shift: int
) -> Iterator[tuple[float, av.Packet]]:
    time_base = Fraction(1, scale)
    expected = samples[0].segment.extradata
    for sample in samples:
        data = sample.segment.data(sample.place)
        if sample.first_of_segment and sample.segment.extradata != expected:
            # An encoder of another version has other parameters: they go before its first frame.
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
    """Unit in which the start of a track is written, 1 ms or finer.

    A multiple of the track's own keeps the start exact.
    """
    return scale if scale >= 1000 else scale * -(-1000 // scale)


def _movflags(metadata: dict[str, str]) -> str:
    """FFmpeg drops keys that iTunes does not know, unless it writes all of them the QuickTime way."""
    known = all(key.split("-")[0] in ITUNES_KEYS for key in metadata)
    return "+faststart" if known else "+faststart+use_metadata_tags"


def _check(part: Path, frames: int) -> None:
    """Read the file back before it gets its final name."""
    with av.open(str(part), "r") as written:
        found = written.streams.video[0].frames
    if found != frames:
        raise OutputError(f"{part}: holds {found} frames where {frames} were written; check the disk")
