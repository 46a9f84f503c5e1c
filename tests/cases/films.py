"""Small files with tracks of any kind, by recipe, with PyAV alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

RATE = 25
SIZE = (64, 48)


@dataclass(frozen=True)
class Sound:
    """A track of a steady tone."""

    codec: str = "aac"
    title: str = ""
    language: str = ""
    default: bool = False
    hertz: int = 440


@dataclass(frozen=True)
class Picture:
    """A video track: a bright bar that moves."""

    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    size: tuple[int, int] = SIZE
    aspect: Fraction = Fraction(1)
    colors: tuple[int, int, int, int] = (2, 2, 2, 1)
    """Matrix, primaries, transfer, range: ISO/IEC 23091-2."""
    options: dict[str, str] = field(default_factory=dict)


def film(
    path: Path,
    frames: int = 12,
    pictures: Sequence[Picture] = (Picture(),),
    sounds: Sequence[Sound] = (),
    subtitles: Sequence[str] = (),
    metadata: dict[str, str] | None = None,
    chapters: Sequence[tuple[float, float, str]] = (),
    pts: Sequence[int] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write a film.

    Args:
        path: its suffix chooses the container.
        frames: of each picture, at 25 frames per second.
        pictures: the video tracks.
        sounds: the sound tracks, as long as the picture.
        subtitles: SRT text, one line a track, shown from 0.1 to 0.3 s.
        metadata: of the container; ``timecode`` makes a time code.
        chapters: begin and end, s, and title.
        pts: of the frames, in frames; by default 0, 1, 2, ...
        container_options: of FFmpeg's muxer.
    """
    with av.open(f"file:{path.absolute()}", "w", container_options=container_options) as output:
        output.metadata.update(metadata or {})
        videos = [_add_video(output, picture) for picture in pictures]
        audios = [_add_audio(output, sound) for sound in sounds]
        texts = [_add_text(output, path) for _ in subtitles]
        if chapters:
            output.set_chapters([_chapter(at, *chapter) for at, chapter in enumerate(chapters)])
        output.start_encoding()
        for target, line in zip(texts, subtitles, strict=True):
            output.mux(_text_packet(target, line, path))
        for target, picture in zip(videos, pictures, strict=True):
            for index in range(frames):
                frame = moving_bar(index, picture.size, picture.pix_fmt)
                frame.pts, frame.time_base = (pts[index] if pts else index), Fraction(1, RATE)
                output.mux(target.encode(frame))
            output.mux(target.encode(None))
        for target, sound in zip(audios, sounds, strict=True):
            _write_tone(output, target, sound, frames / RATE)
    return path


def moving_bar(index: int, size: tuple[int, int] = SIZE, pix_fmt: str = "yuv420p") -> Any:
    """Frame `index`: a gradient, and a bright bar 2 px farther right in each frame; of 16 bits before conversion."""
    width, height = size
    image = np.tile(np.linspace(9000, 40000, width), (height, 1)).astype(np.uint16)
    left = (4 + 2 * index) % (width - 8)
    image[height // 4 : -height // 4, left : left + 8] = 55000
    frame = av.VideoFrame.from_ndarray(image, "gray16le")
    return frame.reformat(format=pix_fmt, src_color_range=2, dst_color_range=2)


def _add_video(output: Any, picture: Picture) -> Any:
    stream = output.add_stream(picture.codec, rate=RATE, options=dict(picture.options))
    stream.width, stream.height = picture.size
    stream.pix_fmt = picture.pix_fmt
    context = stream.codec_context
    context.colorspace, context.color_primaries, context.color_trc, context.color_range = picture.colors
    context.sample_aspect_ratio = picture.aspect
    return stream


def _add_audio(output: Any, sound: Sound) -> Any:
    stream = output.add_stream(sound.codec, rate=48000, layout="mono")
    stream.metadata.update({"title": sound.title} if sound.title else {})
    stream.metadata.update({"language": sound.language} if sound.language else {})
    stream.disposition = 1 if sound.default else 0
    return stream


def _write_tone(output: Any, stream: Any, sound: Sound, seconds: float) -> None:
    context = stream.codec_context
    samples = np.sin(np.arange(round(48000 * seconds)) * 2 * np.pi * sound.hertz / 48000).astype(np.float32) / 2
    resampler = av.AudioResampler(context.format, "mono", 48000, context.frame_size or 1024)
    frame = av.AudioFrame.from_ndarray(samples[None], "fltp", "mono")
    frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
    for part in [*resampler.resample(frame), *resampler.resample(None)]:
        output.mux(stream.encode(part))
    output.mux(stream.encode(None))


def _add_text(output: Any, path: Path) -> Any:
    stream = output.add_stream("srt" if path.suffix == ".mkv" else "mov_text")
    stream.codec_context.subtitle_header = b"[Script Info]\nScriptType: v4.00+\n"
    stream.time_base = Fraction(1, 1000)
    stream.metadata["language"] = "fra"
    return stream


def _text_packet(stream: Any, line: str, path: Path) -> Any:
    text = line.encode()
    packet = av.Packet(text if path.suffix == ".mkv" else len(text).to_bytes(2, "big") + text)
    packet.stream, packet.time_base = stream, Fraction(1, 1000)
    packet.pts = packet.dts = 100
    packet.duration = 200
    return packet


def _chapter(at: int, begin: float, end: float, title: str) -> Any:
    unit = Fraction(1, 1000)
    times = {"start": round(begin * 1000), "end": round(end * 1000), "time_base": unit}
    return {"id": at, **times, "metadata": {"title": title}}
