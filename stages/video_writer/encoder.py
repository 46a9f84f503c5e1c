"""H.264 in which frames leave the encoder in the order in which they enter."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import av
from av.codec.context import Flags

from stages.shared.color import MATRICES, RANGES
from stages.video_writer.spool import Packet, VideoTrack

LOOKAHEAD = 8
"""Frames that x264 looks ahead. Few, because the sender keeps each of them until it is encoded; some, because rate
control by macroblock trees needs them. Chosen by hand."""


_IN_ORDER = f"bframes=0:rc-lookahead={LOOKAHEAD}:sync-lookahead=0"
Quality = Literal["fast", "balanced", "best"]


@dataclass(frozen=True)
class EncoderSettings:
    """How much time x264 takes for a frame."""

    preset: str
    """Name of x264's own set of options."""
    parameters: str = ""
    """What differs from the preset, as x264 writes its parameters."""


SETTINGS: dict[Quality, EncoderSettings] = {
    "fast": EncoderSettings("superfast", "mbtree=1:subme=2"),
    "balanced": EncoderSettings("veryfast"),
    "best": EncoderSettings("faster"),
}
"""Measured at crf 18 on stabilized 1080p with noise, clean 720p and a still camera. ``fast`` takes 0.71 to 0.77 of the
time of ``balanced``, for the same size and 0.06 to 0.3 dB less PSNR; plain superfast is 46 to 150 % larger. ``best``
takes 1.5 times the time, for 0.5 dB more and at most the same size; slower presets take twice that for 0.1 dB."""


class H264Encoder:
    """libx264 without B-frames: decoding order is presentation order, and the frames it holds are the latest ones.

    The encoder sees time stamps that always grow. The true ones, which may jump back in a faulty file, are put back on
    the packets.
    """

    def __init__(self, track: VideoTrack, crf: float, settings: EncoderSettings, threads: int) -> None:
        self.track = track
        context = av.CodecContext.create("libx264", "w")
        context.width, context.height, context.pix_fmt = track.width, track.height, "yuv420p"
        context.time_base, context.framerate = track.time_base, track.rate
        context.sample_aspect_ratio = track.pixel_aspect
        context.colorspace, context.color_range = MATRICES[track.color_space], RANGES[track.color_range]
        context.color_primaries, context.color_trc = track.primaries, track.transfer
        context.options = {
            "preset": settings.preset,
            "crf": str(crf),
            "x264-params": ":".join(filter(None, (_IN_ORDER, f"threads={threads}", settings.parameters))),
        }
        # SPS and PPS once, as mp4 requires, instead of before every key frame.
        context.flags |= Flags.global_header
        context.open()
        self._context = context
        self._inside: deque[tuple[int, int | None]] = deque()
        self._clock: int | None = None

    @property
    def extradata(self) -> bytes:
        """SPS and PPS in Annex B form."""
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
