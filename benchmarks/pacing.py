"""Plug-ins that only benchmarks need."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from pydantic import Field

from pipeline.messages import Flow, Frame, Gap, Message
from pipeline.stage import Options, Source, Stage
from stages.shared.color import plane_array


class PacedFrames(Source):
    """One 4:2:0 picture again and again, at a steady pace."""

    class Options(Options):
        width: int = Field(1280, description="px")
        height: int = Field(720, description="px")
        frames: int = Field(200, description="how many")
        frames_per_second: float = Field(20, description="pace")

    def read(self, start_index: int) -> Iterator[Frame | Gap]:
        height, width = self.options.height, self.options.width
        luma = np.full((height, width), 128, np.uint8)
        chroma = np.full((height // 2, width // 2), 128, np.uint8)
        begin = time.monotonic()
        for index in range(start_index, self.options.frames):
            time.sleep(max(0.0, begin + index / self.options.frames_per_second - time.monotonic()))
            header = self.context.header(index, Fraction(1, 90000))
            yield Frame(header, index, width, height, "yuv420p", (luma, chroma, chroma), "bt709", "tv")


class Relay(Stage):
    """Passes frames on; with `copy`, as new pixels, which is what a stage that changes them does."""

    class Options(Options):
        copy_pixels: bool = Field(False, description="fetch the pixels and pass on a copy")

    reads = (Frame,)
    writes = Frame

    def process(self, message: Frame) -> Iterable[Message]:
        if not self.options.copy_pixels:
            return [message]
        planes = tuple(np.asarray(plane).copy() for plane in message.planes)
        return [Frame(**{**vars(message), "planes": planes})]


class PacedClip(Source):
    """A file as a camera would send it: at a steady pace, over and over, decoded as it comes."""

    class Options(Options):
        seconds: float = Field(20, description="how long")
        frames_per_second: float = Field(15, description="pace")

    @classmethod
    def is_live(cls, input: str) -> bool:
        return True

    def read(self, start_index: int) -> Iterator[Frame | Gap]:
        begin = time.monotonic()
        for index, decoded in enumerate(_over_and_over(self.context.source.input)):
            due = index / self.options.frames_per_second
            if due >= self.options.seconds:
                return
            time.sleep(max(0.0, begin + due - time.monotonic()))
            planes = tuple(plane_array(plane) for plane in decoded.planes)
            header = self.context.header(round(due * 90_000), Fraction(1, 90_000))
            yield Frame(header, index, decoded.width, decoded.height, "yuv420p", planes, "bt709", "tv")


class FirstFrame(Stage):
    """Writes down when its first message came, in seconds since 1970."""

    class Options(Options):
        path: str = Field(description="of the file to write")

    reads = (Flow,)
    needs = frozenset({"flow"})

    def process(self, message: Flow) -> Iterable[Message]:
        if message.frame.index == 1:
            Path(self.options.path).write_text(f"{time.time()}")
        return ()


def _over_and_over(path: str) -> Iterator[av.VideoFrame]:
    while True:
        with av.open(path) as container:
            yield from container.decode(video=0)
