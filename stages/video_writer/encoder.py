"""H.264 in which frames leave the encoder in the order in which they enter."""

from __future__ import annotations

from collections import deque
from fractions import Fraction

import av
from av.codec.context import Flags

from stages.shared.color import MATRICES, RANGES
from stages.video_writer.spool import Packet, VideoTrack

LOOKAHEAD = 8
"""Frames that x264 looks ahead. Few, because the sender keeps each of them until it is encoded; some, because rate
control by macroblock trees needs them. Chosen by hand."""


class H264Encoder:
    """libx264 without B-frames: decoding order is presentation order, and the frames it holds are the latest ones.

    The encoder sees time stamps that always grow. The true ones, which may jump back in a faulty file, are put back on
    the packets.
    """

    def __init__(self, track: VideoTrack, crf: float, preset: str, threads: int) -> None:
        self.track = track
        context = av.CodecContext.create("libx264", "w")
        context.width, context.height, context.pix_fmt = track.width, track.height, "yuv420p"
        context.time_base, context.framerate = track.time_base, track.rate
        context.sample_aspect_ratio = track.pixel_aspect
        context.colorspace, context.color_range = MATRICES[track.color_space], RANGES[track.color_range]
        context.color_primaries, context.color_trc = track.primaries, track.transfer
        context.options = {
            "preset": preset,
            "crf": str(crf),
            "x264-params": f"bframes=0:rc-lookahead={LOOKAHEAD}:sync-lookahead=0:threads={threads}",
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
