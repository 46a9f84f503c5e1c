"""Shows on the picture what moves."""

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


class Overlay(stage.Stage):
    """Draws the motion mask, the moving objects with their ids, running events, and the time on each frame."""

    class Options(stage.Options):
        mask_opacity: float = Field(0.45, ge=0, le=1, description="how much of the mask's color is mixed in, 0-1")
        boxes: bool = Field(True, description="draw a box and the id of each moving object")
        banner: bool = Field(True, description="say when an event is going on")
        time: bool = Field(True, description="show the presentation time")

    reads = (Mask,)
    writes = Frame

    def __init__(self, options: Options, context: stage.Context) -> None:
        super().__init__(options, context)
        self._running: dict[int, float] = {}

    def process(self, message: Mask) -> Iterable[Message]:
        for event in message.events:
            self._running[event.id] = event.begin_seconds
        picture = np.array(rgb(message.frame))
        height_px = text_height(picture.shape[0])
        self._draw_mask(picture, np.asarray(message.mask) > 0)
        if self.options.banner:
            self._draw_banner(picture, message, height_px)
        if self.options.boxes:
            _draw_objects(picture, message, height_px)
        if self.options.time:
            label(picture, clock(message.header.pts_seconds), (0, picture.shape[0]), height_px)
        for event in message.events:
            if event.end_seconds is not None:
                self._running.pop(event.id, None)
        frame = message.frame
        yield from_rgb(picture, message.header, frame.index, frame.duration)

    def snapshot(self) -> Mapping[str, Any]:
        return {"running": list(self._running.items())}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        self._running = dict(snapshot["running"])

    def _draw_mask(self, picture: np.ndarray, moves: np.ndarray) -> None:
        if not moves.any():
            return
        tint(picture, _TINT, self.options.mask_opacity, moves)
        outlines, _ = cv2.findContours(moves.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(picture, outlines, -1, _TINT, 1, cv2.LINE_AA)

    def _draw_banner(self, picture: np.ndarray, message: Mask, height_px: int) -> None:
        y = 0
        for event, begin in sorted(self._running.items()):
            now = message.header.pts_seconds
            lasting = "" if now is None else f", {max(0.0, now - begin):.1f} s"
            label(picture, f"MOTION  event {event}{lasting}", (0, y), height_px, ground=_ALERT, opacity=0.85)
            y += 2 * height_px + 2
        if message.uncertain:
            label(picture, "camera motion uncertain", (picture.shape[1], 0), height_px)


def _draw_objects(picture: np.ndarray, message: Mask, height_px: int) -> None:
    for moving in message.objects:
        color = palette(moving.id)
        x, y, width, height = moving.box
        box(picture, x, y, width, height, color)
        above = y - 2 * height_px
        small = max(7, round(height_px * 0.8))
        label(picture, str(moving.id), (x, above if above >= 0 else y), small, (0, 0, 0), color, 0.9)
