"""A camera that a test plays: frames with their number in the picture, encoded, into a ring."""

from __future__ import annotations

import functools
from fractions import Fraction
from typing import Any

import av
import numpy as np

from pipeline.testing import CLOCK_BEGIN_NS
from raftline.packet_ring import PacketRing, Stream
from tests.stages.frames import numbered_luma, read_number

FPS, GOP = 10, 10
WIDTH, HEIGHT = 128, 64
_TIME_BASE = Fraction(1, 90000)
_OPTIONS = {
    "libx264": {"preset": "ultrafast", "tune": "zerolatency", "crf": "20", "x264-params": "annexb=1:repeat-headers=1"},
    "libx265": {
        "preset": "ultrafast",
        "x265-params": "log-level=none:repeat-headers=1:pools=1:frame-threads=1:bframes=0",
    },
}


def arrival_ns(number: int) -> int:
    """When frame `number` arrives."""
    return CLOCK_BEGIN_NS + number * 1_000_000_000 // FPS


@functools.lru_cache
def encoded(encoder: str, frames: int = 200) -> tuple[tuple[int, int, bool, bytes], ...]:
    """pts, dts, keyframe, bytes of each packet."""
    context: Any = av.CodecContext.create(encoder, "w")
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    context.time_base, context.framerate = Fraction(1, FPS), Fraction(FPS)
    context.gop_size, context.options, context.thread_count = GOP, _OPTIONS[encoder], 1
    packets = []
    for number in [*range(frames), None]:
        frame = None
        if number is not None:
            planes = [numbered_luma(number, HEIGHT, WIDTH), np.full((HEIGHT // 2, WIDTH), 128, np.uint8)]
            frame = av.VideoFrame.from_ndarray(np.concatenate(planes), "yuv420p")
            frame.pts = number
        packets += [(p.pts, p.dts, p.is_keyframe, bytes(p)) for p in context.encode(frame)]
    return tuple(packets)


class Camera:
    """Feeds a ring."""

    def __init__(self, ring: PacketRing, encoder: str = "libx264") -> None:
        self._ring, self._packets, self._next = ring, encoded(encoder), 0
        self._codec = {"libx264": "h264", "libx265": "hevc"}[encoder]
        self.connect()

    def connect(self) -> None:
        """A new connection; the next frame is a keyframe's."""
        while not self._packets[self._next][2]:
            self._next += 1
        self._ring.begin(Stream(self._codec, b"", WIDTH, HEIGHT, _TIME_BASE, arrival_ns(self._next)))

    def send(self, until: int) -> None:
        """Packets up to frame `until`, exclusive."""
        for number in range(self._next, until):
            pts, dts, key, data = self._packets[number]
            unit = 90000 // FPS
            self._ring.packet(7_000_000 + pts * unit, 7_000_000 + dts * unit, arrival_ns(number), key, data)
        self._next = max(self._next, until)


def shown_numbers(path: str) -> list[int]:
    """The frames that a player shows, in order."""
    with av.open(path) as container:
        return [read_number(frame.to_ndarray(format="gray8")) for frame in container.decode(video=0)]
