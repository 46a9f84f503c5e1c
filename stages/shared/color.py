"""Frames to RGB and grey and back, with the matrix and range that the frame carries.

Swscale computes it (through PyAV), in its unscaled path: about a millisecond for 1920x1080, chroma repeated over its
2x2 pixels, within 3 of 255 of the formulas of ITU-R BT.601, BT.709 and BT.2020 (a test checks it). Swscale takes that
path for even sizes only, and its general path wraps around at colors outside the RGB cube. So odd sizes are padded by
one pixel, converted, and cropped again.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from pipeline.messages import ColorRange, ColorSpace, Frame, Header, PixelFormat

MATRICES: dict[ColorSpace, int] = {"bt601": 6, "bt709": 1, "bt2020": 9, "rgb": 0}
"""AVColorSpace: ITU-T H.273, table 4."""
RANGES: dict[ColorRange, int] = {"tv": 1, "pc": 2}
"""AVColorRange."""
_AREA_ACCURATE = 0x20 | 0x40000
"""SWS_AREA | SWS_ACCURATE_RND. Not every PyAV has a name for their sum."""

FFMPEG_FORMATS: dict[PixelFormat, str] = {
    "yuv420p": "yuv420p",
    "yuv420p10": "yuv420p10le",
    "rgb24": "rgb24",
    "gray8": "gray",
}
"""FFmpeg's names of our pixel formats."""
MOST_IN_10_BITS = 1023
_TV_TO_PC = np.clip(np.rint((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)
"""Limited-range luma, 16-235, to full range."""

_thread = threading.local()


def rgb(frame: Frame, size: tuple[int, int] | None = None) -> np.ndarray:
    """The frame as an RGB image.

    Args:
        frame: in any pixel format.
        size: (height, width) px to scale down to, each pixel the mean of what it covers; None: that of the frame. The
            planes are scaled before they are converted: at half of the size that takes a third of the time.

    Returns:
        uint8 (H, W, 3), 0-255, contiguous. Read-only and shared with the frame if that is RGB of this size already.
    """
    frame = frame.in_8_bits()
    if size is not None and size != (frame.height, frame.width):
        frame = _scaled_down(frame, size)
    if frame.format == "rgb24":
        return np.asarray(frame.planes[0])
    if frame.format == "gray8":
        return cv2.merge([gray(frame)] * 3)
    source = planar_frame(frame.planes, even(frame.width), even(frame.height))
    source.colorspace = MATRICES[frame.color_space]
    converted = _reformatter("rgb").reformat(
        source,
        format="rgb24",
        src_color_range=RANGES[frame.color_range],
        dst_color_range=RANGES["pc"],
        threads=1,
    )
    pixels = plane_array(converted.planes[0]).reshape(source.height, -1, 3)
    return np.ascontiguousarray(pixels[: frame.height, : frame.width])


def _scaled_down(frame: Frame, size: tuple[int, int]) -> Frame:
    height, width = size
    planes = [
        cv2.resize(np.asarray(plane), (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
        for plane, shape in zip(frame.planes, plane_shapes(frame.format, height, width), strict=True)
    ]
    return replace(frame, width=width, height=height, planes=tuple(planes))


def gray(frame: Frame, size: tuple[int, int] | None = None) -> np.ndarray:
    """The frame's brightness.

    Args:
        frame: in any pixel format.
        size: as for `rgb`.

    Returns:
        uint8 (H, W), 0 (black) to 255 (white) whatever the frame's range: luma of YUV, BT.601 luma of RGB. Read-only
        and shared with the frame if that has full range already.
    """
    frame = frame.in_8_bits()
    values = np.asarray(frame.planes[0])
    if size is not None and size != (frame.height, frame.width):
        values = cv2.resize(values, size[::-1], interpolation=cv2.INTER_AREA)
    if frame.format == "rgb24":
        return cv2.cvtColor(values, cv2.COLOR_RGB2GRAY)
    return cv2.LUT(values, _TV_TO_PC) if frame.color_range == "tv" else values


def from_rgb(
    pixels: np.ndarray, header: Header, index: int, duration: int | None = None, stream_index: int | None = None
) -> Frame:
    """A frame of what a stage drew: yuv420p, BT.709, ``tv`` range, as video encoders expect.

    Args:
        pixels: uint8 (H, W, 3) RGB.
        header: of the message that the frame is made from.
        index: of the frame that it is made from.
        duration: in units of the header's time base.
        stream_index: of the frame that it is made from.

    Raises:
        ValueError: the pixels have another shape or dtype.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise ValueError(
            f"from_rgb: pixels are {pixels.dtype} {pixels.shape}; allowed is uint8 (H, W, 3) with H and W >= 1"
        )
    height, width = pixels.shape[:2]
    source = av.VideoFrame(even(width), even(height), "rgb24")
    source.colorspace = MATRICES["bt709"]  # of the YUV that is made
    _fill(plane_array(source.planes[0]), pixels.reshape(height, width * 3), step=3)
    converted = _reformatter("yuv").reformat(
        source,
        format="yuv420p",
        src_color_range=RANGES["pc"],
        dst_color_range=RANGES["tv"],
        interpolation=_AREA_ACCURATE,
        threads=1,
    )
    planes = []
    for plane, (rows, columns) in zip(converted.planes, plane_shapes("yuv420p", height, width), strict=True):
        values = plane_array(plane)[:rows, :columns]
        values.flags.writeable = False
        planes.append(values)
    return Frame(header, index, width, height, "yuv420p", tuple(planes), "bt709", "tv", duration, stream_index)


def video_frame(frame: Frame) -> av.VideoFrame:
    """The frame as PyAV's, tagged with its matrix and range. Copies the pixels once.

    Odd sizes stay odd. The time stamp is left to the caller.
    """
    made = planar_frame(frame.planes, frame.width, frame.height, frame.format)
    made.colorspace = MATRICES[frame.color_space]
    made.color_range = RANGES[frame.color_range]
    return made


def planar_frame(planes: Sequence[Any], width: int, height: int, format: PixelFormat = "yuv420p") -> av.VideoFrame:
    """PyAV's frame of these planes, without tags and time stamp.

    Args:
        planes: arrays as in `pipeline.messages.Frame`, of `width` x `height` or one pixel less. The last row and
            column are repeated to fill the frame.
        width: of the frame, px.
        height: of the frame, px.
        format: of the planes.
    """
    made = av.VideoFrame(width, height, FFMPEG_FORMATS[format])
    for plane, given in zip(made.planes, planes, strict=True):
        values = np.asarray(given)
        _fill(plane_array(plane, values.dtype), values.reshape(len(values), -1))
    return made


def even(size_px: int) -> int:
    """The size itself, or one more: 4:2:0 and swscale's fast path need even sizes."""
    return size_px + size_px % 2


def plane_shapes(format: PixelFormat, height: int, width: int) -> tuple[tuple[int, ...], ...]:
    """Shapes of the planes of a frame."""
    if format == "rgb24":
        return ((height, width, 3),)
    chroma = ((height + 1) // 2, (width + 1) // 2)
    return ((height, width),) if format == "gray8" else ((height, width), chroma, chroma)


def plane_array(plane: Any, dtype: Any = np.uint8) -> np.ndarray:
    """The values of a plane, shared, with the padding at the end of rows: (rows, line size) of `dtype`."""
    values = np.frombuffer(plane, dtype).reshape(plane.height, -1)
    return values if plane.line_size > 0 else values[::-1]


def _fill(target: np.ndarray, values: np.ndarray, step: int = 1) -> None:
    """Copy rows (H, W) into a buffer at least as large; repeat the last row and the last `step` columns once."""
    rows, columns = values.shape
    target[:rows, :columns] = values
    if target.shape[1] > columns:
        spare = min(step, target.shape[1] - columns)
        target[:rows, columns : columns + spare] = values[:, -step:][:, :spare]
    if target.shape[0] > rows:
        target[rows] = target[rows - 1]


def _reformatter(direction: str) -> VideoReformatter:
    """Swscale's context, one per thread and direction; it is reused while size and format stay the same."""
    made = getattr(_thread, direction, None)
    if made is None:
        made = VideoReformatter()
        setattr(_thread, direction, made)
    return made
