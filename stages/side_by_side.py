"""Shows the picture before and after stabilization."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from pydantic import Field

from pipeline import stage
from pipeline.errors import PluginError
from pipeline.messages import Frame, Message, Stabilized
from raftline.drawing import label, text_height
from stages.shared.color import from_rgb, rgb

_SEAM_PX = 2


class SideBySide(stage.Stage):
    """Puts the original on the left and the stabilized picture on the right."""

    class Options(stage.Options):
        max_width_px: int = Field(
            3840, ge=64, le=8192, description="width of the picture of both, px; wider ones are made smaller"
        )
        labels: bool = Field(True, description="write 'original' and 'stabilized' on them")

    reads = (Stabilized,)
    writes = Frame
    needs = frozenset({"original"})

    def process(self, message: Stabilized) -> Iterable[Message]:
        if message.original is None:
            raise PluginError(
                f"stage {self.context.stage!r}: a Stabilized came without its original; the stage it reads from has to "
                "fill `original` where a reader asks for it"
            )
        after = self._sized(rgb(message.frame))
        before = self._sized(rgb(message.original), after.shape)
        seam = np.full((after.shape[0], _SEAM_PX, 3), 255, np.uint8)
        picture = np.concatenate([before, seam, after], axis=1)
        if self.options.labels:
            height_px = text_height(picture.shape[0])
            label(picture, "original", (0, 0), height_px)
            label(picture, "stabilized", (after.shape[1] + _SEAM_PX, 0), height_px)
        yield from_rgb(picture, message.header, message.frame.index, message.frame.duration)

    def _sized(self, picture: np.ndarray, shape: tuple[int, ...] | None = None) -> np.ndarray:
        height, width = picture.shape[:2]
        if shape is None:
            scale = min(1.0, (self.options.max_width_px - _SEAM_PX) / (2 * width))
            shape = (max(1, round(height * scale)), max(1, round(width * scale)))
        if shape[:2] == (height, width):
            return picture
        return cv2.resize(picture, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
