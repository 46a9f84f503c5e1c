"""The audio of the input for the output: packets copied, or AAC if mp4 cannot hold the codec."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError, InvalidDataError

from stages.video_writer.input import open_input

HELD_BY_MP4 = frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"})
"""Codecs with a registered mp4 mapping that players know (mp4ra.org). FFmpeg writes others too, but few play them."""
_AAC_RATES_HZ = (48000, 96000, 88200, 64000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_BITS_PER_CHANNEL_S = 80_000
"""160 kbit/s for stereo. Chosen by hand."""
_SAMPLES_PER_PACKET = 1024
"""Of AAC-LC (ISO/IEC 14496-3)."""


class AudioTracks:
    """All audio streams of a file, added to an output."""

    def __init__(self, source: Path | None, output: OutputContainer) -> None:
        """`source` None: no audio. A file that cannot be opened has no audio either, and the description says so."""
        self._tracks: dict[int, _Copied | _Transcoded] = {}
        self._input: InputContainer | None = None
        self.skipped_packets = 0
        self.description = "none"
        if source is None:
            return
        try:
            self._input = input_ = open_input(source)
        except (OSError, FFmpegError):
            self.description = "none: the input is not a file with audio"
            return
        for stream in input_.streams.audio:
            if stream.codec_context is not None:
                self._tracks[stream.index] = _track(stream, output)
        text = ", ".join(track.description for track in self._tracks.values())
        self.description = text or "none: the input has no audio"

    def close(self) -> None:
        if self._input is not None:
            self._input.close()

    def begin_seconds(self) -> float | None:
        """When the first of them starts, s; None without audio."""
        starts = [
            float(track.source.start_time * track.source.time_base)
            for track in self._tracks.values()
            if track.source.start_time is not None and track.source.time_base is not None
        ]
        return min(starts, default=None)

    def packets(self, shift_seconds: float, until_seconds: float | None) -> Iterator[tuple[float, av.Packet]]:
        """Packets for the output, each with its time in seconds.

        Args:
            shift_seconds: added to every time.
            until_seconds: packets that begin here or later in the input are left out; None: none are.
        """
        if self._input is None or not self._tracks:
            return
        sources = [track.source for track in self._tracks.values()]
        last: dict[int, int] = {}
        for packet in self._input.demux(sources):
            track = self._tracks[packet.stream.index]
            if packet.dts is not None and until_seconds is not None and packet.dts * packet.time_base >= until_seconds:
                continue
            for out in self._packets_of(track, packet):
                shift = round(shift_seconds / out.time_base)
                dts = (out.dts or 0) + shift
                if dts <= last.get(packet.stream.index, dts - 1):
                    self.skipped_packets += 1  # the muxer refuses times that do not grow
                    continue
                last[packet.stream.index] = dts
                out.dts, out.pts = dts, dts if out.pts is None else out.pts + shift
                yield float(dts * out.time_base), out

    def _packets_of(self, track: _Copied | _Transcoded, packet: av.Packet) -> list[av.Packet]:
        if packet.dts is None and packet.size:
            self.skipped_packets += 1
            return []
        try:
            return track.take(packet)
        except InvalidDataError:
            self.skipped_packets += 1
            return []


def _track(stream: av.AudioStream, output: OutputContainer) -> _Copied | _Transcoded:
    copied = stream.codec_context.codec.canonical_name in HELD_BY_MP4
    track = _Copied(stream, output) if copied else _Transcoded(stream, output)
    if "language" in stream.metadata:
        track.target.metadata["language"] = stream.metadata["language"]
    return track


class _Copied:
    def __init__(self, source: av.AudioStream, output: OutputContainer) -> None:
        self.source = source
        self.target = output.add_stream_from_template(source)
        self.description = f"{source.codec_context.codec.canonical_name} copied"

    def take(self, packet: av.Packet) -> list[av.Packet]:
        """The packet itself; nothing for the empty one that ends a stream."""
        if packet.dts is None:
            return []
        packet.stream = self.target
        return [packet]


class _Transcoded:
    def __init__(self, source: av.AudioStream, output: OutputContainer) -> None:
        self.source = source
        rate = source.rate if source.rate in _AAC_RATES_HZ else _AAC_RATES_HZ[0]
        channels = source.codec_context.layout.nb_channels
        layout = "mono" if channels == 1 else "stereo"
        self.target = output.add_stream("aac", rate=rate, layout=layout, format="fltp")
        self.target.codec_context.bit_rate = _BITS_PER_CHANNEL_S * (1 if channels == 1 else 2)
        self._resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate, frame_size=_SAMPLES_PER_PACKET)
        name = source.codec_context.codec.canonical_name
        mixed = f", {channels} channels mixed down to stereo" if channels > 2 else ""
        self.description = f"{name} transcoded to aac, because mp4 cannot hold it{mixed}"

    def take(self, packet: av.Packet) -> list[av.Packet]:
        """The packets that are ready; all that are left for the empty packet that ends a stream."""
        made = [out for frame in packet.decode() for out in self._encoded(frame)]
        if packet.dts is None:
            made += self._encoded(None)
            made += self.target.encode(None)
        return made

    def _encoded(self, frame: av.AudioFrame | None) -> list[av.Packet]:
        return [packet for resampled in self._resampler.resample(frame) for packet in self.target.encode(resampled)]
