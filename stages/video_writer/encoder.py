"""Video encoders from which frames leave in the order in which they enter."""

from __future__ import annotations

import os
from collections import deque
from fractions import Fraction
from typing import Any

import av
from av.codec.context import Flags

from stages.shared.color import FFMPEG_FORMATS, MATRICES, RANGES
from stages.video_writer.codecs import CODECS, EncoderSettings
from stages.video_writer.spool import Packet, VideoTrack

os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 otherwise prints its settings to the screen.


class VideoEncoder:
    """An encoder without frames that refer to later ones: the frames it holds are the latest ones.

    The encoder sees time stamps that always grow. The true ones, which may jump back in a faulty file, are put back on
    the packets.
    """

    def __init__(self, track: VideoTrack, crf: float, settings: EncoderSettings, threads: int) -> None:
        """Open the encoder of the track's codec. Raises `ConfigError` if there is none."""
        self.track = track
        self.options = encoder_options(track, crf, settings, threads)
        self._context: Any = av.CodecContext.create(CODECS[track.codec].encoder, "w")
        set_up(self._context, track, self.options)
        self._context.open()
        self._inside: deque[tuple[int, int | None]] = deque()
        self._clock: int | None = None

    @property
    def extradata(self) -> bytes:
        """What a decoder needs before the first packet: parameter sets, sequence header."""
        return bytes(self._context.extradata or b"")

    def encode(self, frame: av.VideoFrame, pts: int, duration: int | None) -> list[Packet]:
        """Encode a frame of the track's size; return the packets that are ready, oldest first."""
        self._clock = pts if self._clock is None else max(pts, self._clock + 1)
        frame.pts, frame.time_base = self._clock, Fraction(self.track.time_base)
        self._inside.append((pts, duration))
        return self._packets(frame)

    def drain(self) -> list[Packet]:
        """The packets of all frames still inside. Nothing can be encoded afterwards."""
        return self._packets(None)

    def _packets(self, frame: av.VideoFrame | None) -> list[Packet]:
        packets = []
        for packet in self._context.encode(frame):
            pts, duration = self._inside.popleft()
            packets.append(Packet(pts, duration, packet.is_keyframe, bytes(packet)))
        return packets


def encoder_options(track: VideoTrack, crf: float, settings: EncoderSettings, threads: int) -> dict[str, str]:
    """The encoder's options. Raises `ConfigError` if this machine has no such encoder."""
    codec = CODECS[track.codec]
    codec.check()
    options = codec.options(settings, threads)
    if codec.highest_crf is not None:
        options[codec.quality] = str(crf)
    if track.mastering is not None and codec.parameters is not None:
        options[codec.parameters] += ":" + codec.mastering(track.mastering)
    return options


def set_up(context: Any, track: VideoTrack, options: dict[str, str]) -> None:
    """Prepare an encoder: the same track and options always give the same extradata."""
    context.width, context.height, context.pix_fmt = track.width, track.height, FFMPEG_FORMATS[track.format]
    context.time_base, context.framerate = track.time_base, track.rate
    context.sample_aspect_ratio = track.pixel_aspect
    context.colorspace, context.color_range = MATRICES[track.color_space], RANGES[track.color_range]
    context.color_primaries, context.color_trc = track.primaries, track.transfer
    context.options = dict(options)
    # Parameter sets once, as containers require, instead of before every key frame.
    context.flags |= Flags.global_header
