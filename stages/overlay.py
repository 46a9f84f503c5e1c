"""Draws what moves on the frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import cv2
import numpy as np
from pydantic import Field

from pipeline import stage
from pipeline.messages import Frame, Mask, Message
from raftline.drawing import box, clock, label, palette, text_height, tint
from stages.shared.color import from_rgb, rgb

_ALERT = (196, 30, 40)
_TINT = (255, 60, 60)
_ID_SIZE = 0.8
"""Height of an object's id, as a share of the other text."""


class Overlay(stage.Stage):
    """Draws the motion mask, boxes and ids of moving objects, running events and the time on each frame."""

    class Options(stage.Options):
        mask_opacity: float = Field(0.45, ge=0, le=1, description="opacity of the mask's color, 0 (invisible) to 1")
        boxes: bool = Field(True, description="draw a box and an id for each moving object")
        banner: bool = Field(True, description="show running events at the top")
        time: bool = Field(True, description="show the presentation time at the bottom")

    reads = (Mask,)
    writes = Frame
    takes_10_bits = True

    def __init__(self, options: Options, context: stage.Context) -> None:
        super().__init__(options, context)
        self._running: dict[int, float] = {}

    def process(self, message: Mask) -> Iterable[Message]:
        for event in message.events:
            self._running[event.id] = event.begin_seconds
        image = np.array(rgb(message.frame))
        height_px = text_height(image.shape[0])
        self._draw_mask(image, np.asarray(message.mask) > 0)
        if self.options.banner:
            self._draw_banner(image, message, height_px)
        if self.options.boxes:
            _draw_objects(image, message, height_px)
        if self.options.time:
            label(image, clock(message.header.pts_seconds), (0, image.shape[0]), height_px)
        for event in message.events:
            if event.end_seconds is not None:
                self._running.pop(event.id, None)
        frame = message.frame
        yield from_rgb(image, message.header, frame.index, frame.duration, frame.stream_index)

    def snapshot(self) -> Mapping[str, Any]:
        return {"running": list(self._running.items())}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        self._running = dict(snapshot["running"])

    def _draw_mask(self, image: np.ndarray, moves: np.ndarray) -> None:
        if not moves.any():
            return
        tint(image, _TINT, self.options.mask_opacity, moves)
        outlines, _ = cv2.findContours(moves.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(image, outlines, -1, _TINT, 1, cv2.LINE_AA)

    def _draw_banner(self, image: np.ndarray, message: Mask, height_px: int) -> None:
        y = 0
        for event, begin in sorted(self._running.items()):
            now = message.header.pts_seconds
            lasting = "" if now is None else f", {max(0.0, now - begin):.1f} s"
            label(image, f"MOTION  event {event}{lasting}", (0, y), height_px, ground=_ALERT, opacity=0.85)
            y += 2 * height_px + 2
        if message.uncertain:
            label(image, "camera motion uncertain", (image.shape[1], 0), height_px)


def _draw_objects(image: np.ndarray, message: Mask, height_px: int) -> None:
    for moving in message.objects:
        color = palette(moving.id)
        x, y, width, height = moving.box
        box(image, x, y, width, height, color)
        above = y - 2 * height_px
        small = max(7, round(height_px * _ID_SIZE))
        label(image, str(moving.id), (x, above if above >= 0 else y), small, (0, 0, 0), color, 0.9)
