"""What else is in the input file: sound, subtitles, data, attachments, chapters; kept as far as the container can."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError, InvalidDataError
from av.stream import Disposition

from stages.shared.media_files import RemoteFile, open_media, reason
from stages.video_writer.containers import Container
from stages.video_writer.input import TIME_CODE
from stages.video_writer.languages import QUICKTIME_LANGUAGES
from stages.video_writer.sound import TranscodedSound
from stages.video_writer.subtitles import TEXT_CODECS, ConvertedSubtitles

_OF_THE_FILE = ("encoder", "duration", "bps", "number_of_", "_statistics_", "vendor_id", "timecode", "major_brand")
"""Beginnings of metadata keys that describe how a track was stored, not what it is."""
_MADE_BY_MUXERS = frozenset({"VideoHandler", "SoundHandler", "SubtitleHandler", "DataHandler"})
_CHAPTER_TEXT = "bin_data"
"""FFmpeg's name of the track that mp4 and QuickTime keep the titles of chapters in; the muxer writes one of its own."""


class Track(Protocol):
    """A track of the input that goes into the output."""

    source: Any
    target: Any
    description: str

    def take(self, packet: av.Packet) -> list[av.Packet]:
        """The packets to write for a packet of the input; for the empty one that ends a stream, what is left."""
        ...


@dataclass
class TracksReport:
    """What became of the input's tracks, for the status."""

    audio: str = "none"
    subtitles: str = "none"
    chapters: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    """Number of tracks by what they are and why they are left out."""
    skipped_packets: int = 0
    trouble: str | None = None
    """Why the input could not be read again."""


class InputTracks:
    """All tracks of a file but the one that was decoded, added to an output."""

    def __init__(
        self,
        source: Path | RemoteFile | None,
        decoded: int | None,
        output: OutputContainer,
        container: Container,
        audio: bool,
    ) -> None:
        """
        Args:
            source: file whose tracks are taken over; None: there is none.
            decoded: index of the stream that was decoded; None: the first video stream.
            output: that the tracks are added to.
            container: its kind.
            audio: whether to take the sound, too.
        """
        self.report = TracksReport()
        self._tracks: dict[int, Track] = {}
        self._input: InputContainer | None = None
        self._chapters: list[Any] = []
        self._output, self._container = output, container
        if source is None:
            return
        try:
            self._input = open_media(source)
        except (OSError, FFmpegError, ValueError) as error:
            self.report.trouble = reason(error)
            self.report.audio = f"none: the input cannot be read again ({self.report.trouble})"
            return
        self._chapters = self._input.chapters()
        self._add_all(self._input, decoded, audio)

    def close(self) -> None:
        """Close the input."""
        if self._input is not None:
            self._input.close()

    def begin_seconds(self) -> float | None:
        """When the first sound starts, s; None without sound."""
        starts = [
            float(track.source.start_time * track.source.time_base)
            for track in self._tracks.values()
            if track.source.type == "audio" and None not in (track.source.start_time, track.source.time_base)
        ]
        return min(starts, default=None)

    def add_chapters(self, shift_seconds: Fraction, until_seconds: float | None) -> None:
        """Give the output the input's chapters, `shift_seconds` later; those that begin after `until_seconds` go."""
        kept = []
        for chapter in self._chapters:
            unit = chapter["time_base"]
            if until_seconds is not None and chapter["start"] * unit >= until_seconds:
                continue
            end = chapter["end"] if until_seconds is None else min(chapter["end"], round(until_seconds / unit))
            shift = round(shift_seconds / unit)
            kept.append({**chapter, "start": max(0, chapter["start"] + shift), "end": max(0, end + shift)})
        if kept:
            self._output.set_chapters(kept)
        self.report.chapters = len(kept)

    def packets(self, shift_seconds: float, until_seconds: float | None) -> Iterator[tuple[float, av.Packet]]:
        """Packets for the output, each with its time in seconds.

        Args:
            shift_seconds: added to every time.
            until_seconds: packets that begin here or later in the input are left out; None: none are.
        """
        sources = [track.source for track in self._tracks.values() if track.source.type != "attachment"]
        if self._input is None or not sources:
            return
        last: dict[int, int] = {}
        for packet in self._input.demux(sources):
            track = self._tracks[packet.stream.index]
            if packet.dts is not None and until_seconds is not None and packet.dts * packet.time_base >= until_seconds:
                continue
            for out in self._packets_of(track, packet):
                shift = round(shift_seconds / out.time_base)
                dts = (out.dts or 0) + shift
                if dts <= last.get(packet.stream.index, dts - 1):
                    self.report.skipped_packets += 1  # the muxer refuses times that do not grow
                    continue
                last[packet.stream.index] = dts
                out.dts, out.pts = dts, dts if out.pts is None else out.pts + shift
                yield float(dts * out.time_base), out

    def _packets_of(self, track: Track, packet: av.Packet) -> list[av.Packet]:
        if packet.dts is None and packet.size and track.target.disposition & Disposition.attached_pic:
            packet.dts = packet.pts = 0  # a cover has no time
        if packet.dts is None and packet.size:
            self.report.skipped_packets += 1
            return []
        try:
            return track.take(packet)
        except InvalidDataError:
            self.report.skipped_packets += 1
            return []

    def _add_all(self, input_: InputContainer, decoded: int | None, audio: bool) -> None:
        stream: Any
        for stream in input_.streams:
            if stream.type == "video":
                self._note_video(stream, decoded)
            elif stream.type == "audio" and not audio:
                continue
            elif not self._is_made_by_the_muxer(stream):
                self._add(stream)
        said: dict[str, list[str]] = {"audio": [], "subtitle": []}
        for track in self._tracks.values():
            said.setdefault(track.source.type, []).append(track.description)
        self.report.audio = ", ".join(said["audio"]) or "none: the input has no audio"
        self.report.subtitles = ", ".join(said["subtitle"]) or "none"

    def _note_video(self, stream: Any, decoded: int | None) -> None:
        is_main = stream.index == decoded if decoded is not None else stream is stream.container.streams.video[0]
        if is_main:
            return
        if not stream.disposition & Disposition.attached_pic:
            self._note("other video track", "video")
        elif self._container.holds_covers:
            self._tracks[stream.index] = track = CopiedTrack(stream, self._output, opaque=True)
            track.target.disposition = Disposition.attached_pic.value
        else:
            self._note("cover art", "cover")

    def _is_made_by_the_muxer(self, stream: Any) -> bool:
        if stream.type != "data":
            return False
        names_chapters = stream.name == _CHAPTER_TEXT and self._chapters and stream.frames == len(self._chapters)
        return TIME_CODE in stream.metadata or bool(names_chapters)

    def _add(self, stream: Any) -> None:
        track = self._track(stream)
        if track is None:
            return
        if stream.type not in ("data", "attachment"):
            track.target.metadata.update(_metadata(stream, self._container))
            track.target.disposition = stream.disposition.value
        self._tracks[stream.index] = track

    def _track(self, stream: Any) -> Track | None:
        if stream.type == "attachment" and stream.codec_context is None and self._container.name != "mkv":
            return self._leave_out(stream)
        codec = _codec(stream)
        if not codec and stream.type in ("audio", "subtitle"):
            return self._leave_out(stream)
        if self._container.holds(stream):
            return CopiedTrack(stream, self._output)
        if stream.type == "audio":
            return TranscodedSound(stream, self._output, self._container)
        if stream.type == "subtitle" and codec in TEXT_CODECS:
            return ConvertedSubtitles(stream, self._output, self._container)
        return self._leave_out(stream)

    def _leave_out(self, stream: Any) -> None:
        codec = _codec(stream) or getattr(stream, "name", None)
        kind = {"subtitle": "subtitles"}.get(stream.type, stream.type)
        self._note(f"{kind} track" + (f" ({codec})" if codec else ""), stream.type)

    def _note(self, what: str, kind: str) -> None:
        self.report.left_out[f"{what}: {_why(kind, self._container)}"] += 1


class CopiedTrack:
    """A track whose packets are taken as they are."""

    def __init__(self, source: Any, output: OutputContainer, opaque: bool | None = None) -> None:
        """Add a track like `source` to `output`; `opaque`: a picture that nothing is to be encoded for."""
        self.source = source
        self.target: Any = output.add_stream_from_template(source, opaque=opaque)
        name = source.codec_context.codec.canonical_name if source.codec_context else source.type
        self.description = f"{name} copied"

    def take(self, packet: av.Packet) -> list[av.Packet]:
        """The packet itself; nothing for the empty one that ends a stream."""
        if packet.dts is None:
            return []
        packet.stream = self.target
        return [packet]


def _codec(stream: Any) -> str:
    """FFmpeg's name of a stream's codec; empty if it knows none."""
    return stream.codec_context.codec.canonical_name if stream.codec_context is not None else ""


def _why(kind: str, container: Container) -> str:
    """Why a track of this kind is left out, and which container would hold it."""
    if kind == "video":
        return "the output has one picture"
    if kind == "cover":
        return f"it is not written into {container.name}; container: mp4 takes it"
    advice = ""
    if kind == "data":
        advice = "; container: mp4 takes a GoPro's telemetry" if container.name == "mkv" else ""
    elif container.name != "mkv":
        advice = "; container: mkv can"
    return f"{container.name} cannot hold it{advice}"


def _metadata(stream: Any, container: Container) -> dict[str, str]:
    """A track's metadata, its title where the container's players look for it."""
    kept = {key: value for key, value in stream.metadata.items() if not key.lower().startswith(_OF_THE_FILE)}
    if kept.get("handler_name") in _MADE_BY_MUXERS:
        del kept["handler_name"]
    title = kept.pop("name", None) if "title" not in kept else None
    if title is not None:
        kept["title"] = title
    if container.name == "mov" and "language" in kept:
        kept["language"] = QUICKTIME_LANGUAGES.get(kept["language"], kept["language"])
    if container.name == "mkv":
        kept.pop("handler_name", None)
    elif "title" in kept:
        kept.setdefault("handler_name", kept["title"])
    return kept
