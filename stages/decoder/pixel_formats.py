"""From PyAV's frames to ours: pixel format, color and orientation.

4:2:0 of 8 and 10 bits, RGB and grey pass through as views of the decoder's buffers, without a copy. Everything else is
converted to one of these: YUV of more than 8 bits to 10 bits, any subsampling to 4:2:0 (alpha dropped, range and matrix
kept), RGB of any order to rgb24.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import av
import cv2
import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.video.plane import VideoPlane
from av.video.reformatter import VideoReformatter

from pipeline.messages import ColorRange, ColorSpace, PixelFormat
from stages.shared.color import FFMPEG_FORMATS, MATRICES, RANGES, plane_array, plane_shapes
from stages.shared.frame_side_data import side_data_of

_UNTOUCHED: dict[str, PixelFormat] = {
    "yuv420p": "yuv420p",
    "yuvj420p": "yuv420p",
    "yuva420p": "yuv420p",
    "yuv420p10le": "yuv420p10",
    "rgb24": "rgb24",
    "gray": "gray8",
}
_SPACES: dict[int, ColorSpace] = {1: "bt709", 4: "bt601", 5: "bt601", 6: "bt601", 7: "bt709", 9: "bt2020", 10: "bt2020"}
"""AVColorSpace (ITU-T H.273, table 4). FCC (4) and SMPTE 240M (7) are reported as the matrix closest to them."""
_UNSPECIFIED = frozenset({0, 2, 3})
"""RGB, unspecified, reserved."""
_MPEG_RANGE, _JPEG_RANGE = 1, 2
"""AVColorRange: limited and full."""
_HD_WIDTH_PX, _SD_HEIGHT_PX = 1280, 576
"""The narrowest high definition (720p) and the tallest standard definition (PAL); mpv draws the line there too."""
_Orientation = tuple[bool, bool, bool] | None
"""Whether to transpose, then mirror left-right, then top-bottom; None if the frame is upright."""
_QUARTERS: tuple[_Orientation, ...] = (None, (True, False, True), (False, True, True), (True, True, False))
"""Turns by 0, 90, 180 and 270 degrees counter-clockwise."""


class Pixels(NamedTuple):
    """The fields of `pipeline.messages.Frame` that describe pixels, in its order."""

    width: int
    height: int
    format: PixelFormat
    planes: tuple[np.ndarray, ...]
    color_space: ColorSpace
    color_range: ColorRange


class PixelReader:
    """Reads the pixels of decoded frames; keeps swscale's context between frames."""

    def __init__(self, most_bits: int = 10) -> None:
        """`most_bits` 8: samples of more bits are rounded to 8."""
        self._most_bits = most_bits
        self._reformatter = VideoReformatter()
        self.unknown_matrix: int | None = None
        """AVColorSpace of a frame whose matrix is not known; None if there was none."""
        self._oriented: tuple[float, _Orientation] | None = None
        """Angle and orientation of the latest frame whose display matrix was read."""

    def read(self, frame: av.VideoFrame) -> Pixels:
        """The pixels, upright; planes are read-only and keep the decoder's buffer alive.

        Args:
            frame: as the decoder returned it, with its display matrix among its side data.
        """
        color_range = _color_range(frame)
        color_space = _color_space(frame)
        if frame.colorspace not in _SPACES and frame.colorspace not in _UNSPECIFIED and not frame.format.is_rgb:
            self.unknown_matrix = frame.colorspace
        format = _target_format(frame.format, self._most_bits)
        if _UNTOUCHED.get(frame.format.name) != format:
            frame = self._convert(frame, format, color_space, color_range)
        shapes = plane_shapes(format, frame.height, frame.width)
        dtype = np.uint16 if format == "yuv420p10" else np.uint8
        planes = tuple(_values(plane, shape, dtype) for plane, shape in zip(frame.planes, shapes, strict=False))
        orientation = self._orientation(frame)
        if orientation is not None:
            planes = tuple(_turn(plane, *orientation) for plane in planes)
        for plane in planes:
            plane.flags.writeable = False
        height, width = planes[0].shape[:2]
        return Pixels(width, height, format, planes, "rgb" if format == "rgb24" else color_space, color_range)

    def _orientation(self, frame: av.VideoFrame) -> _Orientation:
        """The frame's orientation; between key frames as long as the angle stays."""
        angle = frame.rotation
        if self._oriented is None or frame.key_frame or angle != self._oriented[0]:
            self._oriented = angle, _orientation(frame)
        return self._oriented[1]

    def _convert(
        self, frame: av.VideoFrame, format: PixelFormat, space: ColorSpace, color_range: ColorRange
    ) -> av.VideoFrame:
        frame.colorspace = MATRICES[space]
        kept = RANGES[color_range]
        return self._reformatter.reformat(
            frame,
            format=FFMPEG_FORMATS[format],
            src_color_range=kept,
            dst_color_range=kept,
            threads=1,
        )


def _values(plane: VideoPlane, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    rows = plane_array(plane, dtype)
    if len(shape) == 3:
        return rows[:, : shape[1] * 3].reshape(shape)
    return rows[:, : shape[1]]


def _target_format(format: av.VideoFormat, most_bits: int = 8) -> PixelFormat:
    name = format.name
    if name in _UNTOUCHED and (name != "yuv420p10le" or most_bits > 8):
        return _UNTOUCHED[name]
    if name.startswith(("gray", "ya8", "ya16", "mono")):
        return "gray8"
    if format.is_rgb or format.has_palette or format.is_bayer:
        return "rgb24"
    return "yuv420p10" if most_bits > 8 and format.components[0].bits > 8 else "yuv420p"


def _color_range(frame: av.VideoFrame) -> ColorRange:
    """As tagged. Without a tag: ``pc`` for RGB, grey and the yuvj formats, else ``tv``, as FFmpeg does."""
    if frame.color_range == _JPEG_RANGE or frame.format.name.startswith("yuvj"):
        return "pc"
    if frame.color_range == _MPEG_RANGE:
        return "tv"
    return "tv" if _target_format(frame.format) == "yuv420p" else "pc"


def _color_space(frame: av.VideoFrame) -> ColorSpace:
    """As tagged. Without a known tag: BT.709 for high definition, else BT.601, as players do."""
    guess: ColorSpace = "bt709" if frame.width >= _HD_WIDTH_PX or frame.height > _SD_HEIGHT_PX else "bt601"
    return _SPACES.get(frame.colorspace, guess)


def _orientation(frame: av.VideoFrame) -> _Orientation:
    """The orientation that the frame's display matrix asks for.

    The display matrix maps stored to shown px: row vectors, y down, 16.16 fixed point in its linear part
    (ISO/IEC 14496-12, 6.2.2). Angles that are not a multiple of 90 degrees are not applied.
    """
    side_data = side_data_of(frame)
    if side_data is None:  # only the angle is at hand
        return _QUARTERS[round(frame.rotation / 90) % 4]
    if len(side_data) == 0 or SideDataType.DISPLAYMATRIX not in side_data:
        return None
    a, b, _, c, d = np.frombuffer(side_data[SideDataType.DISPLAYMATRIX], np.int32)[:5].tolist()
    transpose = abs(b) + abs(c) > abs(a) + abs(d)
    mirror_x, mirror_y = (c < 0, b < 0) if transpose else (a < 0, d < 0)
    return (transpose, mirror_x, mirror_y) if transpose or mirror_x or mirror_y else None


def _turn(plane: np.ndarray, transpose: bool, mirror_x: bool, mirror_y: bool) -> np.ndarray:
    """A rotated, contiguous copy; (H, W) or (H, W, 3)."""
    turned = cv2.transpose(plane) if transpose else plane
    if mirror_x and mirror_y:
        return cv2.flip(turned, -1)
    if mirror_x or mirror_y:
        return cv2.flip(turned, 1 if mirror_x else 0)
    return turned
