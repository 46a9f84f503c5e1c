"""Frames of any kind, fitted to the size, matrix and range of a video track."""

from __future__ import annotations

from collections.abc import Sequence

import av
import numpy as np

from pipeline.messages import Frame
from stages.shared.color import FFMPEG_FORMATS, MATRICES, RANGES, even, planar_frame, plane_array, plane_shapes, rgb
from stages.video_writer.spool import VideoTrack

_BICUBIC_ACCURATE = 0x4 | 0x40000
"""SWS_BICUBIC | SWS_ACCURATE_RND. Not every PyAV has a name for their sum."""
_NEUTRAL_CHROMA = 128
_BLACK = {"tv": 16, "pc": 0}
"""Both in 8 bits."""
_SCALES = {"yuv420p": 1, "yuv420p10": 4}
"""Values in a format's bits to values in 8."""


def fits(frame: Frame, track: VideoTrack) -> bool:
    """Whether the frame has the track's size, so that it needs no scaling."""
    return even(frame.width) == track.width and even(frame.height) == track.height


def fitted(frame: Frame, track: VideoTrack) -> av.VideoFrame:
    """The frame in the track's size, matrix, range and format, without a time stamp.

    An odd size is padded to even by repeating the last row or column. A frame of another size is scaled to fit into the
    middle of the track's, with its proportions kept and black around it.
    """
    if not fits(frame, track):
        scale = min(track.width / frame.width, track.height / frame.height)
        width = max(1, min(track.width, round(frame.width * scale)))
        height = max(1, min(track.height, round(frame.height * scale)))
        return _on_black(_planes(_converted(frame, width, height, track)), track)
    same_color = (frame.color_space, frame.color_range) == (track.color_space, track.color_range)
    planes = frame.planes
    if frame.format != track.format or not same_color:
        planes = _planes(_converted(frame, frame.width, frame.height, track))
    return planar_frame(planes, track.width, track.height, track.format)


def _converted(frame: Frame, width: int, height: int, track: VideoTrack) -> av.VideoFrame:
    if frame.format == "rgb24" or (frame.format in _SCALES and frame.color_space != track.color_space):
        source, source_range = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb(frame)), format="rgb24"), "pc"
    else:
        format = frame.format if frame.format in _SCALES else "yuv420p"
        source, source_range = planar_frame(_yuv_planes(frame), frame.width, frame.height, format), frame.color_range
    source.colorspace = MATRICES[track.color_space]  # of the result, if the source is RGB
    return source.reformat(
        width=width,
        height=height,
        format=FFMPEG_FORMATS[track.format],
        src_color_range=RANGES[source_range],
        dst_color_range=RANGES[track.color_range],
        interpolation=_BICUBIC_ACCURATE,
    )


def _yuv_planes(frame: Frame) -> list[np.ndarray]:
    """The planes of a YUV frame; those of a grey one with chroma that has no color."""
    planes = [np.asarray(plane) for plane in frame.planes]
    if frame.format in _SCALES:
        return planes
    chroma = plane_shapes("yuv420p", frame.height, frame.width)[1:]
    return planes + [np.full(shape, _NEUTRAL_CHROMA, np.uint8) for shape in chroma]


def _planes(frame: av.VideoFrame) -> list[np.ndarray]:
    """Views of the frame's planes, without the padding at the end of rows."""
    dtype = np.uint16 if frame.format.components[0].bits > 8 else np.uint8
    return [plane_array(plane, dtype)[:, : plane.width] for plane in frame.planes]


def _on_black(planes: Sequence[np.ndarray], track: VideoTrack) -> av.VideoFrame:
    height, width = planes[0].shape
    # Even, so that chroma and luma stay aligned.
    left, top = (track.width - width) // 2 // 2 * 2, (track.height - height) // 2 // 2 * 2
    frame = av.VideoFrame(track.width, track.height, FFMPEG_FORMATS[track.format])
    scale = _SCALES[track.format]
    for index, (target, values) in enumerate(zip(_planes(frame), planes, strict=True)):
        target[:] = scale * (_NEUTRAL_CHROMA if index else _BLACK[track.color_range])
        step = 2 if index else 1
        y, x = top // step, left // step
        target[y : y + values.shape[0], x : x + values.shape[1]] = values
    return frame
