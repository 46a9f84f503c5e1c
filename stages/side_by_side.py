"""Shows frames before and after stabilization."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from pydantic import Field

from pipeline import stage
from pipeline.errors import PluginError
from pipeline.messages import Frame, Message, Stabilized
from pipeline.segments import WorksInSegments
from raftline.drawing import label, text_height
from stages.shared.color import from_rgb, rgb

_SEAM_PX = 2
"""Width of the white line between the two."""


class SideBySide(stage.Stage, WorksInSegments):
    """Shows the original on the left and the stabilized frame on the right."""

    class Options(stage.Options):
        max_width_px: int = Field(
            3840, ge=64, le=8192, description="largest width of both together, in px; larger frames are scaled down"
        )
        labels: bool = Field(True, description="label the sides 'original' and 'stabilized'")

    reads = (Stabilized,)
    writes = Frame
    takes_10_bits = True
    needs = frozenset({"original"})

    def process(self, message: Stabilized) -> Iterable[Message]:
        if message.original is None:
            raise PluginError(
                f"stage {self.context.stage!r}: a Stabilized came without its original; the stage it reads from must "
                "fill `original` if a reader needs it"
            )
        after = self._sized(rgb(message.frame))
        before = self._sized(rgb(message.original), after.shape)
        seam = np.full((after.shape[0], _SEAM_PX, 3), 255, np.uint8)
        image = np.concatenate([before, seam, after], axis=1)
        if self.options.labels:
            height_px = text_height(image.shape[0])
            label(image, "original", (0, 0), height_px)
            label(image, "stabilized", (after.shape[1] + _SEAM_PX, 0), height_px)
        frame = message.frame
        yield from_rgb(image, message.header, frame.index, frame.duration, frame.stream_index)

    def _sized(self, image: np.ndarray, shape: tuple[int, ...] | None = None) -> np.ndarray:
        height, width = image.shape[:2]
        if shape is None:
            scale = min(1.0, (self.options.max_width_px - _SEAM_PX) / (2 * width))
            shape = (max(1, round(height * scale)), max(1, round(width * scale)))
        if shape[:2] == (height, width):
            return image
        return cv2.resize(image, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
