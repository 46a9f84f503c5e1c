"""A source of one's own: frames that no decoder gives."""

from collections.abc import Iterator
from fractions import Fraction

import cv2
import numpy as np
from pydantic import Field

from pipeline import stage
from pipeline.messages import Frame, Gap


class BouncingBall(stage.Source):
    """A ball that bounces over a textured ground."""

    class Options(stage.Options):
        width: int = Field(320, ge=64, le=4096, description="px")
        height: int = Field(180, ge=64, le=4096, description="px")
        fps: int = Field(25, ge=1, le=240, description="frames per second")
        seconds: float = Field(2.0, gt=0, le=3600, description="length, s")

    def read(self, start_index: int) -> Iterator[Frame | Gap]:
        options = self.options
        noise = np.random.default_rng(0).integers(0, 256, (options.height, options.width, 3), np.uint8)
        ground = cv2.GaussianBlur(noise, (0, 0), 4)
        rows, columns = np.mgrid[: options.height, : options.width]
        for index in range(start_index, self.frame_count()):
            seconds = index / options.fps
            x = options.width * (0.15 + 0.7 * (seconds / options.seconds))
            y = options.height * (0.8 - 0.6 * abs(np.sin(3 * seconds)))
            image = ground.copy()
            image[(columns - x) ** 2 + (rows - y) ** 2 < (options.height / 10) ** 2] = (250, 200, 40)
            header = self.context.header(index, Fraction(1, options.fps))
            yield Frame(header, index, options.width, options.height, "rgb24", (image,), "rgb", "pc")

    def frame_count(self) -> int:
        return round(self.options.seconds * self.options.fps)
