"""Shows where something moves, and for what share of the time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import cv2
import numpy as np
from pydantic import Field, field_validator

from pipeline import stage
from pipeline.messages import EndOfStream, Frame, Gap, Mask, Message
from raftline.drawing import label, text_height
from stages.shared.color import gray
from stages.shared.image_files import png
from stages.shared.name_templates import check_suffix
from stages.shared.output_errors import write_whole

_SIDE_POINTS = 128
"""Longest side of the grid on which motion is counted. Chosen by hand: finer than what moves, as a rule."""
_MOST_STEP_SECONDS = 1.0
"""A longer pause between frames counts only so much: nothing is known of it. Chosen by hand."""
_LEAST_SHARE = 0.005
"""Lowest share of the time that the hottest color stands for: on a finer scale one short motion would be hot. Chosen by
hand."""
_NO_SECONDS = 1e-9
"""Stands for 0 s, by which nothing can be divided."""
_GROUND_SECONDS = 1.0
"""Largest age of the frame under the colors. Chosen by hand: copying one takes time."""
_KEPT = ("_moved", "_seconds", "_last_seconds", "_written_seconds", "_ground", "_ground_seconds")
"""Attributes of a `HeatMap` that are its state."""


class HeatMap(stage.Stage):
    """Writes a PNG of the last frame, tinted by the share of the time in which something moved at each point.

    A label says which share the hottest color stands for. Time counts, not frames, so a variable rate or dropped frames
    do not matter. For a file the image is written at its end; for a camera it is written again and again under its
    final name.
    """

    class Options(stage.Options):
        path: str = Field(
            "{source}.heat.png", description="PNG to write; {source} and {stage} are replaced by their names"
        )
        half_life_seconds: float | None = Field(
            None, gt=0, description="age at which motion counts half, in seconds; null: all motion counts the same"
        )
        every_seconds: float = Field(
            60.0, gt=0, description="cameras only: time between two versions of the image, in seconds"
        )
        opacity: float = Field(0.65, ge=0, le=1, description="opacity of the hottest color, 0 (invisible) to 1")

        @field_validator("path")
        @classmethod
        def _is_a_png(cls, path: str) -> str:
            return check_suffix(path, ".png")

    reads = (Mask,)
    writes = None
    takes_10_bits = True

    def __init__(self, options: Options, context: stage.Context) -> None:
        super().__init__(options, context)
        self._moved = np.zeros((0, 0), np.float32)
        """float32 (h, w): seconds of motion at each point of the grid, halved per half-life."""
        self._seconds = 0.0
        """Seconds in all, halved likewise."""
        self._last_seconds: float | None = None
        self._written_seconds: float | None = None
        self._ground: np.ndarray | None = None
        self._ground_seconds = -np.inf

    def process(self, message: Mask) -> Iterable[Message]:
        frame, now = message.frame, message.header.pts_seconds
        if self._moved.shape != (shape := _grid(frame.width, frame.height)):
            self._moved, self._seconds, self._ground = np.zeros(shape, np.float32), 0.0, None
        if now is not None:
            step = 0.0 if self._last_seconds is None else now - self._last_seconds
            self._count(np.asarray(message.mask), min(max(step, 0.0), _MOST_STEP_SECONDS))
            self._last_seconds = now
        self._keep_ground(frame, now)
        if self.context.source.live and self._due():
            self._write()
        return ()

    def gap(self, gap: Gap) -> Iterable[Message]:
        self._last_seconds = None
        return ()

    def flush(self, end: EndOfStream) -> Iterable[Message]:
        if self._moved.size and (end.reason != "failed" or self.context.source.live):
            self._write()
        return ()

    def checkpoint(self) -> Mapping[str, Any]:
        return {name: getattr(self, name) for name in _KEPT}

    def restore_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        vars(self).update(checkpoint)

    def _keep_ground(self, frame: Frame, now: float | None) -> None:
        """Copy the frame now and then: its pixels are there only while it is processed."""
        if self._ground is None or (now is not None and not 0 <= now - self._ground_seconds < _GROUND_SECONDS):
            self._ground = gray(frame).copy()
            self._ground_seconds = -np.inf if now is None else now

    def _count(self, mask: np.ndarray, step_seconds: float) -> None:
        if self.options.half_life_seconds is not None:
            kept = 0.5 ** (step_seconds / self.options.half_life_seconds)
            self._moved *= np.float32(kept)
            self._seconds *= kept
        if cv2.countNonZero(mask):
            moving = cv2.resize(mask, self._moved.shape[::-1], interpolation=cv2.INTER_AREA)
            self._moved += moving * np.float32(step_seconds / 255)
        self._seconds += step_seconds

    def _shares(self) -> np.ndarray:
        """float32 (h, w): share of the time in which something moved, 0-1."""
        return self._moved / np.float32(max(self._seconds, _NO_SECONDS))

    def _due(self) -> bool:
        now = self._last_seconds
        if now is None:
            return False
        if self._written_seconds is None:
            self._written_seconds = now
        return not 0 <= now - self._written_seconds < self.options.every_seconds

    def _write(self) -> None:
        self._written_seconds = self._last_seconds
        ground = np.zeros(self._moved.shape, np.uint8) if self._ground is None else self._ground
        image = _heat_image(ground, self._shares(), self.options.opacity)
        write_whole(self.context.output(self.options.path), png(image))


def _grid(width: int, height: int) -> tuple[int, int]:
    """(rows, columns) of the grid for a frame of this size."""
    step = max(1.0, max(width, height) / _SIDE_POINTS)
    return max(1, round(height / step)), max(1, round(width / step))


def _heat_image(ground: np.ndarray, shares: np.ndarray, opacity: float) -> np.ndarray:
    """uint8 (H, W, 3) RGB: `ground` (H, W) under the colors of `shares` (h, w)."""
    hottest = max(float(shares.max()), _LEAST_SHARE)
    heat = cv2.resize(shares / hottest, ground.shape[::-1], interpolation=cv2.INTER_LINEAR)
    colors = cv2.applyColorMap((255 * heat).astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
    alpha = opacity * np.sqrt(heat)[..., None]
    image = (ground[..., None] * (1 - alpha) + colors * alpha).astype(np.uint8)
    height_px = text_height(image.shape[0])
    label(image, f"hottest: moves {hottest:.1%} of the time", (0, image.shape[0]), height_px)
    return image
