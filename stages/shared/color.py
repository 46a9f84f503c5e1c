"""From frames to RGB and grey and back, by the matrix and range that the frame carries.

The arithmetic is swscale's (through PyAV), in its unscaled path: about a millisecond for 1920x1080, chroma repeated
over its 2x2 pixels, within 3 of 255 of the formula in ITU-R BT.601, BT.709 and BT.2020 (a test checks it). Swscale
takes that path for even sizes only, and its general path wraps round at colors outside the RGB cube, so odd
sizes are widened by one pixel, converted, and cut again.
"""

from __future__ import annotations

import threading
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

_TV_TO_PC = np.clip(np.rint((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)

_thread = threading.local()


def rgb(frame: Frame) -> np.ndarray:
    """The picture in RGB.

    Args:
        frame: in any of the three pixel formats.

    Returns:
        uint8 (H, W, 3), 0-255, contiguous. Read-only and shared with the frame where that is RGB already.
    """
    if frame.format == "rgb24":
        return np.asarray(frame.planes[0])
    if frame.format == "gray8":
        return cv2.merge([gray(frame)] * 3)
    picture = _even_yuv420p(frame)
    picture.colorspace = MATRICES[frame.color_space]
    converted = _reformatter("rgb").reformat(
        picture,
        format="rgb24",
        src_color_range=RANGES[frame.color_range],
        dst_color_range=RANGES["pc"],
        threads=1,
    )
    pixels = plane_array(converted.planes[0]).reshape(picture.height, -1, 3)
    return np.ascontiguousarray(pixels[: frame.height, : frame.width])


def gray(frame: Frame) -> np.ndarray:
    """The picture's brightness.

    Returns:
        uint8 (H, W), 0 black to 255 white whatever the frame's range: luma of YUV, BT.601 luma of RGB. Read-only and
        shared with the frame where that is full-range already.
    """
    values = np.asarray(frame.planes[0])
    if frame.format == "rgb24":
        return cv2.cvtColor(values, cv2.COLOR_RGB2GRAY)
    return cv2.LUT(values, _TV_TO_PC) if frame.color_range == "tv" else values


def from_rgb(pixels: np.ndarray, header: Header, index: int, duration: int | None = None) -> Frame:
    """A frame for stages that draw pictures: yuv420p, BT.709, ``tv`` range, as video encoders like it.

    Args:
        pixels: uint8 (H, W, 3) RGB.
        header: of the message it was made from.
        index: of the frame it was made from.
        duration: in units of the header's time base.

    Raises:
        ValueError: for another shape or dtype.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise ValueError(f"from_rgb: pixels are {pixels.dtype} {pixels.shape}; uint8 (H, W, 3) is needed, H and W >= 1")
    height, width = pixels.shape[:2]
    source = av.VideoFrame(width + width % 2, height + height % 2, "rgb24")
    source.colorspace = MATRICES["bt709"]  # What the YUV made of it is to have.
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
    return Frame(header, index, width, height, "yuv420p", tuple(planes), "bt709", "tv", duration)


def video_frame(frame: Frame) -> av.VideoFrame:
    """The frame as PyAV has it, its matrix and range marked: for encoders. Copies the pixels once.

    Odd sizes stay odd. Times are left to the caller.
    """
    picture = av.VideoFrame(frame.width, frame.height, {"gray8": "gray"}.get(frame.format, frame.format))
    for plane, values in zip(picture.planes, frame.planes, strict=True):
        _fill(plane_array(plane), np.asarray(values).reshape(len(values), -1))
    picture.colorspace = MATRICES[frame.color_space]
    picture.color_range = RANGES[frame.color_range]
    return picture


def plane_shapes(format: PixelFormat, height: int, width: int) -> tuple[tuple[int, ...], ...]:
    """Shapes of a frame's planes."""
    if format == "rgb24":
        return ((height, width, 3),)
    chroma = ((height + 1) // 2, (width + 1) // 2)
    return ((height, width),) if format == "gray8" else ((height, width), chroma, chroma)


def plane_array(plane: Any) -> np.ndarray:
    """A plane's bytes, shared, padding at the end of lines included: uint8 (rows, line size)."""
    values = np.frombuffer(plane, np.uint8).reshape(plane.height, abs(plane.line_size))
    return values if plane.line_size > 0 else values[::-1]


def _even_yuv420p(frame: Frame) -> av.VideoFrame:
    picture = av.VideoFrame(frame.width + frame.width % 2, frame.height + frame.height % 2, "yuv420p")
    for plane, values in zip(picture.planes, frame.planes, strict=True):
        _fill(plane_array(plane), np.asarray(values))
    return picture


def _fill(target: np.ndarray, values: np.ndarray, step: int = 1) -> None:
    """Copy rows (H, W) into a larger buffer, the last row and the last `step` columns repeated once."""
    rows, columns = values.shape
    target[:rows, :columns] = values
    if target.shape[1] > columns:
        spare = min(step, target.shape[1] - columns)
        target[:rows, columns : columns + spare] = values[:, -step:][:, :spare]
    if target.shape[0] > rows:
        target[rows] = target[rows - 1]


def _reformatter(direction: str) -> VideoReformatter:
    """Swscale's context, kept as long as size and format do, one per thread and direction."""
    made = getattr(_thread, direction, None)
    if made is None:
        made = VideoReformatter()
        setattr(_thread, direction, made)
    return made
