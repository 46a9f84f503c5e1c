"""Writes frames as a video file, with the time stamps and the other tracks of the input."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

from pipeline import stage
from pipeline.messages import EndOfStream, Frame, Gap, Message, Stabilized
from pipeline.segments import WorksInSegments
from stages.shared.media_files import RemoteFile
from stages.shared.output_errors import writing
from stages.video_writer.codecs import BY_NVENC, CODECS, CodecName, EncoderSettings
from stages.video_writer.containers import CONTAINERS, Container, ContainerName
from stages.video_writer.encoder import VideoEncoder
from stages.video_writer.fitting import fits, fitted
from stages.video_writer.input import InputFacts, input_file, read_facts
from stages.video_writer.mux import Wanted, write_video
from stages.video_writer.options import VideoWriterOptions
from stages.video_writer.parts import read_part
from stages.video_writer.spool import Packet, SegmentReader, SegmentWriter, VideoTrack, remove_segments
from stages.video_writer.timeline import Timeline, TimelineState
from stages.video_writer.track import track_for
from stages.video_writer.tracks import TracksReport

_SHORTER_SECONDS = 1.0
"""A video that ends this much before its input was shortened on purpose, and its audio is cut too. Chosen by
hand: more than the few frames that a damaged end may cost."""
_LATE_SECONDS = 1.0
"""A video that begins this late says so: players show nothing until then. Chosen by hand; pictures and sound of one
recording begin less apart."""
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


class VideoWriter(stage.Stage, WorksInSegments):
    """Writes a video file per source: mp4, Matroska (mkv) or QuickTime (mov).

    Time: every frame keeps its presentation time exactly, in the input's time base (Matroska: to the millisecond); a
    variable rate stays variable. The start is kept too (by an edit list), so a recording that begins at 3600 s still
    does. ``start: zero`` shifts all tracks together so that the first frame or sound is at 0, as cameras always do.

    Tracks: all sound, text subtitles, chapters and the time code of a file are kept, with titles, languages and
    defaults; in mp4 cover art, in mp4 and mov a GoPro's telemetry, in mkv attachments. Sound that the container cannot
    hold becomes AAC, text subtitles take its form. What is left out is in the status (``left_out``) and counted
    (``tracks_left_out``).

    Depth: video of more than 8 bits stays at 10, with its HDR mastering data.

    Size: that of the first frame. An odd width or height grows by one repeated column or row, because 4:2:0 needs even
    sizes. Later frames of another size are scaled to fit, with black bars, and counted as
    ``frames_scaled_to_first_size``.

    Until the source ends, encoded packets are spooled next to the output, in files that end in ``.part``. The file is
    then written from them, which briefly needs the same space again. A killed worker loses no frame.
    """

    class Options(VideoWriterOptions):
        """See `stages.video_writer.options`."""

    reads = (Frame, Stabilized)
    writes = None
    takes_10_bits = True

    options: VideoWriterOptions

    def __init__(self, options: VideoWriterOptions, context: stage.Context) -> None:
        super().__init__(options, context)
        self._earlier: list[SegmentReader] = []
        self._writer: SegmentWriter | None = None
        self._encoder: VideoEncoder | None = None
        self._timeline: Timeline | None = None
        self._held: deque[_Held | None] = deque()
        self._spooled = TimelineState()
        self._restored = self._finished = False

    @classmethod
    def of_segment(cls) -> str:
        return "stages.video_writer:VideoPart"

    @classmethod
    def join(cls, options: Any, context: stage.Context, parts: Sequence[Path]) -> None:
        writer = cls(options, context)
        writer.open()
        try:
            for part in parts:
                segments, state = read_part(part, context.stage)
                writer._earlier += segments
                writer._spooled = state if segments else writer._spooled
            writer.flush(EndOfStream(context.header(None, Fraction(1)), "end"))
        finally:
            writer.close()

    def open(self) -> None:
        self._output = self.context.output(self.options.path)

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
        track = self._earlier[0].track if self._earlier else self._track_for(frame)
        options = self.options
        threads = options.threads or min(_MOST_THREADS, self.context.threads)
        codec = CODECS[track.codec]
        settings = EncoderSettings(options.preset) if options.preset else codec.settings[options.quality]
        with writing(self._output.path):
            self._encoder = VideoEncoder(track, self.options.crf, settings, threads)
        self._writer = SegmentWriter(self._output.path, track, self._encoder.extradata, self._encoder.options)
        self._timeline = Timeline(track.time_base, track.rate, self.context.source.live, self._spooled)
        self.context.status(
            encoder=codec.encoder,
            preset=" ".join(filter(None, (settings.preset, settings.parameters))),
            encoder_threads=threads,
            size=f"{track.width}x{track.height}",
            bits=10 if track.format == "yuv420p10" else 8,
        )
        if track.mastering is not None and codec.parameters is None:
            self.context.status(hdr=f"mastering data left out: {codec.name} has no place for them")

    def _track_for(self, frame: Frame) -> VideoTrack:
        facts = read_facts(self._file(frame.stream_index), frame.stream_index)
        track = track_for(frame, facts, self.options.codec)
        return replace(track, codec=self._encoded_by(track))

    def _encoded_by(self, track: VideoTrack) -> CodecName:
        """The track's codec, by the encoder that was asked for, if it is there."""
        asked = self.options.encoder
        if asked == "cpu":
            return track.codec
        wanted = BY_NVENC.get(track.codec)
        if wanted is None or track.format == "yuv420p10":
            reason = f"nvenc writes h264 and hevc of 8 bits, not {track.codec} of {track.format}"
        elif self.options.preset is not None:
            reason = f"the preset {self.options.preset} is one of x264 and x265"
        else:
            reason = CODECS[wanted].why_not()
        if wanted is None or reason is not None:
            self.context.status(encoder_fallback=reason or "")
            self.context.log.warning("encoder %s: the CPU encodes instead (%s)", asked, reason)
            return track.codec
        return wanted

    def _file(self, stream_index: int | None) -> Path | RemoteFile | None:
        return input_file(self.context.source, stream_index is not None, self.options.tls_ca)

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
        track = segments[0].track
        file = self._file(track.stream_index)
        facts = read_facts(file, track.stream_index)
        wanted = Wanted(
            container=self._container,
            source=file,
            metadata=facts.metadata,
            track_metadata=facts.track_metadata,
            audio=self.options.audio,
            start_at_zero=self.options.start == "zero" or self.context.source.live,
            cut=end.reason == "stopped" or self._is_shorter(track, facts),
        )
        self._say_when_it_begins(segments[0], wanted)
        with writing(self._output.part):
            report = write_video(self._output.part, segments, wanted)
        report.left_out.update(f"{name}: encoding loses it" for name in facts.lost)
        self._output.finish()
        self._say_what_was_written(report, file)

    def _say_when_it_begins(self, first: SegmentReader, wanted: Wanted) -> None:
        seconds = next(iter(first.places())).pts * first.track.time_base
        if not wanted.start_at_zero and seconds >= _LATE_SECONDS:
            self.context.status(start=f"at {float(seconds):.1f} s, as in the input; `start: zero` begins at 0")

    @property
    def _container(self) -> Container:
        return CONTAINERS[cast(ContainerName, self.options.path.rpartition(".")[2])]

    def _say_what_was_written(self, report: TracksReport, file: Path | RemoteFile | None) -> None:
        source, audio = self.context.source, report.audio
        if file is None:
            audio = f"none: the input is {'a camera' if source.live else 'not a video file'}"
        elif not self.options.audio:
            audio = "none: option audio is false"
        self.context.status(audio=audio, subtitles=report.subtitles, chapters=report.chapters)
        if report.trouble is not None:
            self.context.log.warning(
                "%s: without the sound of %s: the file cannot be read again (%s); was it moved or removed?",
                self._output.path,
                source.display,
                report.trouble,
            )
        if report.skipped_packets:
            self.context.count("skipped_packets", report.skipped_packets)
        if report.left_out:
            text = ", ".join(f"{count} {what}" if count > 1 else what for what, count in report.left_out.items())
            self.context.status(left_out=text)
            self.context.count("tracks_left_out", report.left_out.total())
            self.context.log.warning("%s: left out: %s", self._output.path, text)

    def _is_shorter(self, track: VideoTrack, facts: InputFacts) -> bool:
        """Whether frames at the end of the input were left out."""
        last, end = self._spooled.last, facts.end_seconds
        return last is not None and end is not None and float(last * Fraction(track.time_base)) < end - _SHORTER_SECONDS
