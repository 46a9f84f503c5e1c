"""Plug-ins that only benchmarks need."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from fractions import Fraction

import numpy as np
from pydantic import Field

from pipeline.messages import Frame, Gap, Message
from pipeline.stage import Options, Source, Stage


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
