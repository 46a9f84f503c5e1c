"""Views that are encoded, once for all who look: stages, and cameras whose packets a browser does not play."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections import OrderedDict
from fractions import Fraction
from typing import Any

import av
from av.video.frame import PictureType

from pipeline.errors import StalePayloadError
from pipeline.messages import Frame
from raftline.packet_ring import Stream
from raftline.packet_ring.parameter_sets import parameter_sets
from raftline.web.live.feed import Feed, end
from raftline.web.live.fragments import TICKS, beginning, fragment, with_lengths
from raftline.web.live.pictures import frame_of, jpeg, picture, stacked
from raftline.web.live.run_streams import RunStreams

LONGEST_PX = 640
_GOP_SECONDS = 2.0
"""Between keyframes, where a browser that is slow goes on. Chosen by hand."""
_GOP_FRAMES = 600
"""The encoder's own limit, which `_GOP_SECONDS` comes before."""
_ORIGINALS = 64
"""Frames that are remembered until they come back stabilized: as many as a stream holds by default."""
_OPTIONS = {"preset": "ultrafast", "tune": "zerolatency", "crf": "26", "x264-params": "repeat-headers=1:annexb=1"}


class PictureFeed(Feed):
    """Follows the stream of a stage, from picture to picture; those that come while one is encoded are left out."""

    def __init__(self, run: RunStreams, source: str, stage: str) -> None:
        super().__init__()
        self._run, self._source, self._stage = run, source, stage

    async def run(self) -> None:
        async for entries in self._run.tail.follow(self._source, self._stage):
            frame = frame_of(self._run.message(entries[-1]))
            if frame is not None:
                await self.take(frame)

    async def take(self, frame: Frame) -> None:
        """Encode a frame and send it; one that was recycled meanwhile is left out."""
        try:
            await asyncio.to_thread(self.encode, frame)
        except StalePayloadError:
            return
        self.send()

    @abstractmethod
    def encode(self, frame: Frame) -> None:
        """Encode a frame, in another thread than the event loop's."""

    @abstractmethod
    def send(self) -> None:
        """Send what was encoded."""


class JpegFeed(PictureFeed):
    """JPEGs, each for itself."""

    def __init__(self, run: RunStreams, source: str, stage: str, most_fps: float) -> None:
        super().__init__(run, source, stage)
        self._step, self._next = 1 / most_fps, 0.0
        self._jpeg: bytes | None = None

    def encode(self, frame: Frame) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = max(self._next + self._step, now)
        self._jpeg = jpeg(frame, LONGEST_PX)

    def send(self) -> None:
        if self._jpeg is not None:
            self.frame(self._jpeg, is_keyframe=True)
            self._jpeg = None


class EncodedFeed(PictureFeed):
    """H.264 in fragments."""

    def __init__(self, run: RunStreams, source: str, stage: str) -> None:
        super().__init__(run, source, stage)
        self._encoder: Any = None
        self._keyframe_at = 0.0
        self._made: list[tuple[Frame, Any]] = []
        self._number = 0
        self._size = (0, 0)

    def encode(self, frame: Frame) -> None:
        small = self.small(frame)
        if self._encoder is None or (self._encoder.width, self._encoder.height) != (small.width, small.height):
            self._encoder = _encoder(small.width, small.height)
            self._keyframe_at = 0.0
        now = time.monotonic()
        small.pict_type = PictureType.NONE
        if now >= self._keyframe_at:
            small.pict_type, self._keyframe_at = PictureType.I, now + _GOP_SECONDS
        small.pts, small.time_base = self._number, self._encoder.time_base
        self._made += [(frame, packet) for packet in self._encoder.encode(small)]

    def small(self, frame: Frame) -> Any:
        """What is encoded of a frame."""
        return picture(frame, LONGEST_PX)

    def send(self) -> None:
        for frame, packet in self._made:
            self._number += 1
            data = bytes(packet)
            if packet.is_keyframe and (self._beginning is None or self._has_new_size()):
                self._begin(data)
            seconds = frame.header.pts_seconds
            placed, duration = self.timeline.place(Fraction(time.time() if seconds is None else seconds))
            self.timeline.know(frame.index, placed)
            units = with_lengths("h264", data)
            self.frame(fragment(self._number, placed, placed, duration, packet.is_keyframe, units), packet.is_keyframe)
        self._made = []
        self.when_sent()

    def _has_new_size(self) -> bool:
        return self._size != (self._encoder.width, self._encoder.height)

    def _begin(self, keyframe: bytes) -> None:
        width, height = self._size = self._encoder.width, self._encoder.height
        stream = Stream("h264", parameter_sets("h264", keyframe), width, height, Fraction(1, TICKS))
        mime, boxes = beginning(stream, keyframe)
        self.begin(mime, boxes, width=width, height=height, codec="h264")


class ComparedFeed(EncodedFeed):
    """The pictures of a stage that stabilizes, below those before, in one video: so both are always of one moment."""

    def __init__(self, run: RunStreams, source: str, stage: str, before: str) -> None:
        """
        Args:
            run: The run.
            source: Its name.
            stage: That stabilizes.
            before: Stage whose pictures come before.
        """
        super().__init__(run, source, stage)
        self._before = before
        self._originals: OrderedDict[int, Frame] = OrderedDict()
        """The last ones, by their index; no pixels are copied for those that are not shown."""
        self._original: Frame | None = None
        """Of the frame that is encoded."""

    async def run(self) -> None:
        following = asyncio.create_task(self._follow_originals())
        try:
            await super().run()
        finally:
            await end(following)

    async def take(self, frame: Frame) -> None:
        self._original = self._originals.get(frame.index)
        if self._original is not None:
            await super().take(frame)

    def small(self, frame: Frame) -> Any:
        assert self._original is not None
        return stacked(picture(self._original, LONGEST_PX), picture(frame, LONGEST_PX))

    async def _follow_originals(self) -> None:
        async for entries in self._run.tail.follow(self._source, self._before, _ORIGINALS):
            for fields in entries:
                message = self._run.message(fields)
                if isinstance(message, Frame):
                    self._originals[message.index] = message
            while len(self._originals) > _ORIGINALS:
                self._originals.popitem(last=False)


def _encoder(width: int, height: int) -> Any:
    context: Any = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base, context.gop_size, context.thread_count = Fraction(1, 1000), _GOP_FRAMES, 1
    context.options = _OPTIONS
    return context
