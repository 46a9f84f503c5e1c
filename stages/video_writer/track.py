"""The properties of the output's video track, chosen by the first frame."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from pipeline.messages import Frame
from stages.shared.color import even
from stages.video_writer.codecs import CodecName
from stages.video_writer.input import UNSPECIFIED, InputFacts
from stages.video_writer.spool import VideoTrack

_USUAL_RATE = Fraction(30)
"""Frames per second where nothing tells the rate."""
_HIGHEST_RATE = 1000
"""A higher one is not a rate: some files with a variable rate report their time base."""
_CODES = {"bt601": (6, 6), "bt709": (1, 1), "bt2020": (9, 14)}
"""Primaries and transfer characteristics that go with a matrix, ISO/IEC 23091-2."""


def track_for(frame: Frame, facts: InputFacts, codec: CodecName | Literal["auto"]) -> VideoTrack:
    """The track: size, time base, matrix and range of the frame, and the tags of the input.

    rgb24 becomes BT.709 with limited range, as players expect of video. Codec ``auto`` is h264, and hevc for 10 bits,
    because few players show h264 of more than 8.
    """
    deep = frame.format == "yuv420p10"
    rgb = frame.format == "rgb24"
    color_space = "bt709" if frame.color_space == "rgb" else frame.color_space
    primaries, transfer = _CODES[color_space]
    return VideoTrack(
        width=even(frame.width),
        height=even(frame.height),
        time_base=frame.header.time_base,
        rate=_rate(frame, facts),
        color_space=color_space,
        color_range="tv" if rgb else frame.color_range,
        primaries=primaries if rgb or facts.primaries == UNSPECIFIED else facts.primaries,
        transfer=transfer if rgb or facts.transfer == UNSPECIFIED else facts.transfer,
        pixel_aspect=_pixel_aspect(frame, facts),
        codec=codec if codec != "auto" else "hevc" if deep else "h264",
        format="yuv420p10" if deep else "yuv420p",
        mastering=facts.mastering if deep else None,
        stream_index=frame.stream_index,
    )


def _rate(frame: Frame, facts: InputFacts) -> Fraction:
    """A hint for the encoder (its level and rate control), within reason."""
    if facts.rate:
        rate = facts.rate
    elif frame.duration:
        rate = 1 / (frame.duration * frame.header.time_base)
    else:
        rate = _USUAL_RATE
    return rate if 1 <= rate <= _HIGHEST_RATE else _USUAL_RATE


def _pixel_aspect(frame: Frame, facts: InputFacts) -> Fraction:
    """That of the input, inverted if the decoder turned the frame by 90 degrees; square for a frame of another size."""
    if (frame.width, frame.height) == (facts.width, facts.height):
        return facts.pixel_aspect
    if (frame.height, frame.width) == (facts.width, facts.height):
        return 1 / facts.pixel_aspect
    return Fraction(1)
