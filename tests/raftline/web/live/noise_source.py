"""A camera whose pictures are noise: their video is as large as can be, so that sockets are soon full."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from pipeline import stage
from pipeline.messages import Frame, Gap

FPS = 10
WIDTH, HEIGHT = 640, 360


class NoiseSource(stage.Source):
    """Frames as they are due, without end."""

    class Options(stage.Options):
        pass

    def read(self, start_index: int) -> Iterator[Frame | Gap]:
        rng, begin, index = np.random.default_rng(0), time.monotonic(), start_index
        pictures = rng.integers(0, 256, (8, HEIGHT, WIDTH), np.uint8)
        while True:
            time.sleep(max(0.0, begin + (index - start_index) / FPS - time.monotonic()))
            header = self.context.header(index, Fraction(1, FPS))
            yield Frame(header, index, WIDTH, HEIGHT, "gray8", (pictures[index % 8],), "bt709", "pc")
            index += 1

    def frame_count(self) -> int | None:
        return None
