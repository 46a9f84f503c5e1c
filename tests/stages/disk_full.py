"""Messages whose output is large, for each writer."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.messages import Flow, Frame, Mask, Message, MotionEvent
from stages.shared.color import from_rgb
from tests.stages.frames import end, header

FRAMES = 20


def messages(cls: type) -> list[Message]:
    """Frames of noise, which do not compress, and what is made of them."""
    made: list[Message] = [_message(cls.__name__, _noise(i)) for i in range(FRAMES)]
    return [*made, end(FRAMES)]


def _noise(index: int) -> Frame:
    pixels = np.random.default_rng(index).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    return from_rgb(pixels, header(index, 40 * index), index, 40)


def _message(kind: str, frame: Frame) -> Any:
    if kind == "FlowWriter":
        return Flow(frame.header, frame, "cold", None, np.zeros((48, 64, 2), np.float16))
    if kind in ("MaskWriter", "EventLog"):
        event = MotionEvent(frame.index, 0.0, 1.0, 0.5, 0.1)
        return Mask(frame.header, frame, np.asarray(frame.planes[0]), (), (event,))
    return frame
