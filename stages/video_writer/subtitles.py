"""Text subtitles of the input in the form that the container holds."""

from __future__ import annotations

from typing import Any

import av
from av.container import OutputContainer

from stages.video_writer.containers import Container

TEXT_CODECS = frozenset({"subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text"})
"""Subtitles that FFmpeg reads as text. The others are images, which cannot become text."""
_NOTHING_SHOWN = 2
"""Bytes of a mov_text sample without text: its length alone (3GPP TS 26.245, 5.17)."""


class ConvertedSubtitles:
    """A track of text subtitles, converted; bold, italic and line breaks are kept."""

    def __init__(self, source: Any, output: OutputContainer, container: Container) -> None:
        """Add a track like `source` to `output`."""
        self.source = source
        source.codec_context.open(strict=False)  # The header with the styles is there once the decoder is open.
        self.target: Any = output.add_stream(container.text)
        self.target.codec_context.subtitle_header = source.codec_context.subtitle_header
        self.target.time_base = source.time_base
        self.description = f"{source.codec_context.codec.canonical_name} as {container.text}"

    def take(self, packet: av.Packet) -> list[av.Packet]:
        """The packet with its text converted; nothing for one that shows no text."""
        if packet.dts is None or packet.size <= _NOTHING_SHOWN:
            return []
        text = self.source.codec_context.decode2(packet)
        if text is None or len(text) == 0:
            return []
        made = self.target.codec_context.encode_subtitle(text)
        made.stream, made.time_base = self.target, packet.time_base
        made.pts = made.dts = packet.pts if packet.pts is not None else packet.dts
        made.duration = packet.duration
        return [made]
