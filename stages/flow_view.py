"""Shows optical flow as colors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import cv2
import numpy as np
from pydantic import Field

from pipeline import stage
from pipeline.messages import Flow, Frame, Message
from raftline.drawing import label, text_height
from raftline.flow.color import flow_color
from stages.shared.color import from_rgb

_LEAST_PX = 1.0
"""Lowest speed of full saturation: below it the noise of a still camera would be in full color. Chosen by hand."""
_PERCENTILE = 99.0
"""Of the speeds in a frame; stands for its fastest motion, without outliers. Chosen by hand."""
_DECAY_SECONDS = 2.0
"""Half-life of the scale once motion gets slower. Chosen by hand."""
_SAMPLED_EVERY = 4
"""Pixels, in x and in y: enough for a percentile, at a sixteenth of the time."""
_TABLE_REACH = 4.0
"""The table reaches this multiple of the speed of full saturation in u and in v; beyond, hues lean to the diagonals."""
_TABLE_SIZE = 1025
"""Entries in u and in v: 128 from still to full saturation, as much as 8-bit colors can show. Odd, so that still lies
on an entry."""

_LEAST_RADIUS_PX = 8
"""A smaller wheel does not show its colors, and is left out."""
_RIM = (60, 60, 60)


class FlowView(stage.Stage):
    """Draws optical flow in color: hue is direction, saturation is speed (Middlebury's color wheel), white is still.

    ``max_px`` sets the speed of full saturation; without it, the scale follows the fastest motion of the last seconds.
    A legend shows the color wheel and this speed.
    """

    class Options(stage.Options):
        max_px: float | None = Field(
            None, gt=0, description="speed of full saturation, in px per frame; null: follow the fastest motion"
        )
        legend: bool = Field(True, description="draw the color wheel and the speed of full saturation")

    reads = (Flow,)
    writes = Frame
    takes_10_bits = True
    needs = frozenset({"flow"})

    def __init__(self, options: Options, context: stage.Context) -> None:
        super().__init__(options, context)
        self._scale_px = _LEAST_PX
        steps = np.linspace(-_TABLE_REACH, _TABLE_REACH, _TABLE_SIZE, dtype=np.float32)
        self._table = flow_color(np.stack(np.meshgrid(steps, steps), axis=2), 1.0)

    def process(self, message: Flow) -> Iterable[Message]:
        frame = message.frame
        if message.flow_px is None:
            flow_px = np.zeros((frame.height, frame.width, 2), np.float32)
        else:
            flow_px = np.asarray(message.flow_px).astype(np.float32)
            self._follow(flow_px, message.step_seconds)
        full_px = self.options.max_px or self._scale_px
        image = self._colors(flow_px, full_px)
        if self.options.legend:
            _draw_legend(image, full_px)
        yield from_rgb(image, message.header, frame.index, frame.duration, frame.stream_index)

    def snapshot(self) -> Mapping[str, Any]:
        return {"scale_px": self._scale_px}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        self._scale_px = snapshot["scale_px"]

    def _colors(self, flow_px: np.ndarray, full_px: float) -> np.ndarray:
        """`flow_color` from a table: a tenth of the time, and no visible difference."""
        centre = (_TABLE_SIZE - 1) / 2
        place = flow_px * np.float32(centre / _TABLE_REACH / full_px) + np.float32(centre)
        columns, rows = cv2.split(place)
        colors = cv2.remap(self._table, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(colors, np.uint8)

    def _follow(self, flow_px: np.ndarray, step_seconds: float | None) -> None:
        """Adapt the scale: up at once, so that little saturates; down slowly, so that colors stay comparable."""
        sample = flow_px[::_SAMPLED_EVERY, ::_SAMPLED_EVERY]
        speed = np.hypot(sample[..., 0], sample[..., 1])
        fast = float(np.nanpercentile(speed, _PERCENTILE)) if np.isfinite(speed).any() else 0.0
        kept = 0.5 ** ((step_seconds or 0.0) / _DECAY_SECONDS)
        self._scale_px = max(_LEAST_PX, fast, kept * self._scale_px + (1 - kept) * fast)


def _draw_legend(image: np.ndarray, full_px: float) -> None:
    height_px = text_height(image.shape[0])
    radius = min(3 * height_px, min(image.shape[:2]) // 4)
    if radius < _LEAST_RADIUS_PX:
        return
    steps = np.arange(-radius, radius + 1, dtype=np.float32)
    u, v = np.meshgrid(steps, steps)
    inside = np.hypot(u, v) <= radius
    wheel = flow_color(np.stack([u, v], axis=2), float(radius) + 1)
    corner = image[-wheel.shape[0] - height_px : -height_px, height_px : height_px + wheel.shape[1]]
    corner[inside] = wheel[inside]
    centre = (height_px + radius, image.shape[0] - height_px - radius - 1)
    cv2.circle(image, centre, radius, _RIM, 1, cv2.LINE_AA)
    beside = (2 * height_px + 2 * radius, centre[1] - height_px)
    label(image, f"{full_px:.1f} px/frame", beside, height_px)
