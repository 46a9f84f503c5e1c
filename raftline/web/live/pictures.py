"""Pictures of a stage, small enough to be looked at."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import av
import cv2
import numpy as np

from pipeline.messages import Frame, Message, Stabilized

_FORMATS = {"yuv420p": "yuv420p", "rgb24": "rgb24", "gray8": "gray"}
_JPEG_QUALITY = 80
"""0 to 100. Chosen by hand."""


def frame_of(message: Message | None) -> Frame | None:
    """The picture that a message is made for."""
    if isinstance(message, Stabilized):
        return replace(message.frame, header=message.header)
    return message if isinstance(message, Frame) else None


def picture(frame: Frame, longest_px: int) -> Any:
    """The frame as one of FFmpeg's (yuv420p, BT.709, limited range), of even size, no side longer than `longest_px`.

    Raises:
        StalePayloadError: its pixels were recycled meanwhile.
    """
    frame = frame.in_8_bits()
    planes = [np.asarray(plane) for plane in frame.planes]
    made: Any = av.VideoFrame(frame.width, frame.height, _FORMATS[frame.format])
    for plane, values in zip(made.planes, planes, strict=True):
        rows = values.reshape(values.shape[0], -1)
        target = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        target[: rows.shape[0], : rows.shape[1]] = rows
    scale = min(1.0, longest_px / max(frame.width, frame.height))
    width, height = (max(2, round(side * scale / 2) * 2) for side in (frame.width, frame.height))
    is_full = frame.color_range == "pc" or frame.format == "rgb24"
    return made.reformat(
        width,
        height,
        "yuv420p",
        src_colorspace="ITU709" if frame.color_space == "bt709" else "ITU601",
        dst_colorspace="ITU709",
        src_color_range="JPEG" if is_full else "MPEG",
        dst_color_range="MPEG",
    )


def stacked(above: Any, below: Any) -> Any:
    """Two of `picture`, one above the other in one; the lower one at the size of the upper one."""
    below = below.reformat(above.width, above.height, "yuv420p")
    made: Any = av.VideoFrame(above.width, 2 * above.height, "yuv420p")
    for plane, upper, lower in zip(made.planes, above.planes, below.planes, strict=True):
        target = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        for rows, source in zip(np.split(target, 2), (upper, lower), strict=True):
            values = np.frombuffer(source, np.uint8).reshape(-1, source.line_size)
            rows[:, : plane.width] = values[:, : plane.width]
    return made


def jpeg(frame: Frame, longest_px: int) -> bytes:
    """The frame as a JPEG. Raises as `picture`."""
    small = picture(frame, longest_px)
    image = small.to_ndarray(format="bgr24", src_colorspace="ITU709", src_color_range="MPEG", dst_color_range="JPEG")
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()
