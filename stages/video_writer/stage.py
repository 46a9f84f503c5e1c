"""Writes frames as H.264 in an mp4, with the audio and time stamps of the input."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from pipeline import stage
from pipeline.messages import EndOfStream, Frame, Gap, Message, Stabilized
from stages.shared.name_templates import check_suffix
from stages.shared.output_errors import writing
from stages.video_writer.encoder import SETTINGS, EncoderSettings, H264Encoder, Quality
from stages.video_writer.fitting import fits, fitted
from stages.video_writer.input import InputFacts, read_facts
from stages.video_writer.mux import write_mp4
from stages.video_writer.spool import Packet, SegmentReader, SegmentWriter, VideoTrack, remove_segments
from stages.video_writer.timeline import Timeline, TimelineState
from stages.video_writer.track import track_for

_SHORTER_SECONDS = 1.0
"""A video that ends this much before its input was shortened on purpose, and its audio is cut too. Chosen by
hand: more than the few frames that a damaged end may cost."""
_MOST_THREADS = 4
"""Encoder threads if the option says 0. Chosen by hand: the other stages need the cores, too."""


@dataclass(frozen=True)
class _Held:
    """A frame inside the encoder."""

    after: TimelineState
    """The timeline once this frame is written."""
    scaled: bool
    untimed: bool
    """It came without a time stamp."""


class VideoWriter(stage.Stage):
    """Writes an mp4 (H.264, yuv420p) per source.

    Time: every frame keeps its presentation time exactly, in the input's time base; a variable rate stays variable. The
    start is kept too (by an edit list), so a recording that begins at 3600 s still does. ``start: zero`` shifts video
    and audio together so that the first of them is at 0. Cameras always start at 0.

    Audio: all audio streams of a file are copied without re-encoding. Codecs that mp4 cannot hold become AAC, and the
    status says so.

    Size: that of the first frame. An odd width or height grows by one repeated column or row, because 4:2:0 needs even
    sizes. Later frames of another size are scaled to fit, with black bars, and counted as
    ``frames_scaled_to_first_size``.

    Until the source ends, encoded packets are spooled next to the output, in files that end in ``.part``. The mp4 is
    then written from them, which briefly needs the same space again. A killed worker loses no frame.
    """

    class Options(stage.Options):
        path: str = Field(
            "{source}.stabilized.mp4", description="mp4 to write; {source} and {stage} are replaced by their names"
        )
        crf: float = Field(
            18, ge=0, le=51, description="quality: x264's constant rate factor, 0 (lossless) to 51 (worst)"
        )
        quality: Quality = Field(
            "balanced",
            description="time spent on a frame. fast: three quarters of balanced's, for 0.1 to 0.3 dB less; "
            "best: one and a half times, for 0.5 dB more; the file's size stays about the same",
        )
        preset: (
            Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"]
            | None
        ) = Field(None, description="x264 preset, instead of what quality chooses; null: as quality says")
        audio: bool = Field(True, description="copy the audio of the input file")
        start: Literal["keep", "zero"] = Field(
            "keep", description="keep: time stamps as in the input; zero: the first frame or sound is at 0 s"
        )
        threads: int = Field(0, ge=0, le=64, description="number of encoder threads; 0: the stage's share, at most 4")

        @field_validator("path")
        @classmethod
        def _ends_in_mp4(cls, path: str) -> str:
            return check_suffix(path, ".mp4")

    reads = (Frame, Stabilized)
    writes = None

    options: Options

    def __init__(self, options: Options, context: stage.Context) -> None:
        super().__init__(options, context)
        self._earlier: list[SegmentReader] = []
        self._writer: SegmentWriter | None = None
        self._encoder: H264Encoder | None = None
        self._timeline: Timeline | None = None
        self._held: deque[_Held | None] = deque()
        self._spooled = TimelineState()
        self._restored = self._finished = False

    def open(self) -> None:
        self._output = self.context.output(self.options.path)
        source = self.context.source
        given = Path(source.input)
        self._file = given if not source.live and given.is_file() else None
        self._facts: InputFacts = read_facts(self._file)

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        self._restored = True
        self._spooled = TimelineState.from_json(snapshot["timeline"])
        self._earlier = [
            SegmentReader.open(self._output.path, segment_id, length) for segment_id, length in snapshot["segments"]
        ]

    def snapshot(self) -> Mapping[str, Any]:
        # Which bytes of the spool count. They are committed together with the acknowledgement, so they hold exactly the
        # frames that were acknowledged. Frames inside the encoder are not acknowledged and come again. So do frames
        # whose packets were written after the last commit; those bytes are never read.
        segments = [(reader.id, reader.length) for reader in self._earlier]
        if self._writer is not None:
            segments.append((self._writer.id, self._writer.length))
        return {"timeline": self._spooled.to_json(), "segments": segments}

    def unacked_window(self) -> int:
        return len(self._held)

    def process(self, message: Frame | Stabilized) -> Iterable[Message]:
        frame = message if isinstance(message, Frame) else message.frame
        if self._encoder is None:
            self._begin(frame)
        assert self._encoder is not None and self._timeline is not None
        pts = self._timeline.next_pts(frame.header)
        duration = frame.duration and self._timeline.rescaled(frame.duration, frame.header.time_base)
        track = self._encoder.track
        self._held.append(_Held(self._timeline.state, not fits(frame, track), frame.header.pts is None))
        with writing(self._output.path):
            packets = self._encoder.encode(fitted(frame, track), pts, duration)
        self._spool(packets)
        return ()

    def gap(self, gap: Gap) -> Iterable[Message]:
        if self._held:
            self._held.append(None)
        return ()

    def flush(self, end: EndOfStream) -> Iterable[Message]:
        if self._encoder is not None:
            self._spool(self._encoder.drain())
        if end.reason == "failed":
            self._output.discard()
        else:
            self._write(end)
        self._finished = True
        return ()

    def close(self) -> None:
        """Delete the spool of a finished output; that of an unfinished one stays for the worker that takes over."""
        for segment in (*self._earlier, self._writer):
            if segment is not None:
                segment.close()
        if self._finished:
            remove_segments(self._output.path)

    def _begin(self, frame: Frame) -> None:
        """Start the encoder and a segment, for the first frame, or like the segments of an earlier worker."""
        if not self._restored:
            remove_segments(self._output.path)
        track = self._earlier[0].track if self._earlier else track_for(frame, self._facts)
        options = self.options
        threads = options.threads or min(_MOST_THREADS, self.context.threads)
        settings = EncoderSettings(options.preset) if options.preset else SETTINGS[options.quality]
        with writing(self._output.path):
            self._encoder = H264Encoder(track, self.options.crf, settings, threads)
        self._writer = SegmentWriter(self._output.path, track, self._encoder.extradata)
        self._timeline = Timeline(track.time_base, track.rate, self.context.source.live, self._spooled)
        self.context.status(
            encoder="libx264",
            preset=" ".join(filter(None, (settings.preset, settings.parameters))),
            encoder_threads=threads,
            size=f"{track.width}x{track.height}",
        )

    def _spool(self, packets: list[Packet]) -> None:
        for packet in packets:
            assert self._writer is not None
            self._writer.append(packet)
            while (held := self._held.popleft()) is None:
                pass
            self._spooled = held.after
            if held.scaled:
                self.context.count("frames_scaled_to_first_size")
            if held.untimed:
                self.context.count("frames_without_time_stamp")
        while self._held and self._held[0] is None:
            self._held.popleft()

    def _write(self, end: EndOfStream) -> None:
        if self._writer is not None:
            self._earlier.append(self._writer.reader())
        segments = [segment for segment in self._earlier if any(True for _ in segment.places())]
        if not segments:
            self._output.discard()
            self.context.log.warning("%s: no frame arrived, so no file was written", self._output.path)
            self.context.status(note="no frames: no file written")
            return
        with writing(self._output.part):
            report = write_mp4(
                self._output.part,
                segments,
                sound=self._file if self.options.audio else None,
                metadata=self._facts.metadata,
                start_at_zero=self.options.start == "zero" or self.context.source.live,
                cut_sound=end.reason == "stopped" or self._is_shorter(segments[0].track),
            )
        self._output.finish()
        self.context.status(audio=report.audio)
        if report.skipped_audio_packets:
            self.context.count("skipped_audio_packets", report.skipped_audio_packets)

    def _is_shorter(self, track: VideoTrack) -> bool:
        """Whether frames at the end of the input were left out."""
        last, end = self._spooled.last, self._facts.end_seconds
        return last is not None and end is not None and float(last * Fraction(track.time_base)) < end - _SHORTER_SECONDS
