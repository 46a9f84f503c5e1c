"""A frame of any kind, as the planar 4:2:0 picture that a video track of one size and color space takes."""

from __future__ import annotations

import av
import numpy as np

from pipeline.messages import Frame
from stages.shared.color import MATRICES, RANGES, rgb
from stages.video_writer.spool import VideoTrack

_BICUBIC_ACCURATE = 0x4 | 0x40000
"""SWS_BICUBIC | SWS_ACCURATE_RND. Not every PyAV has a name for their sum."""


def even(size_px: int) -> int:
    """4:2:0 needs even sizes: an odd one grows by a line."""
    return size_px + size_px % 2


def fits(frame: Frame, track: VideoTrack) -> bool:
    """Whether the frame has the track's size, so that nothing is scaled."""
    return even(frame.width) == track.width and even(frame.height) == track.height


def picture(frame: Frame, track: VideoTrack) -> av.VideoFrame:
    """The frame in the track's size, matrix and range, without a time stamp.

    An odd size is padded to even by repeating the last line. A frame of another size is scaled into the middle of the
    track's, its proportions kept, with black beside it.
    """
    if not fits(frame, track):
        scale = min(track.width / frame.width, track.height / frame.height)
        width = max(1, min(track.width, round(frame.width * scale)))
        height = max(1, min(track.height, round(frame.height * scale)))
        return _on_black(_planes(_converted(frame, width, height, track)), track)
    same_color = frame.format == "yuv420p" and (frame.color_space, frame.color_range) == (
        track.color_space,
        track.color_range,
    )
    if same_color:
        return _padded([np.asarray(plane) for plane in frame.planes], track)
    return _padded(_planes(_converted(frame, frame.width, frame.height, track)), track)


def _converted(frame: Frame, width: int, height: int, track: VideoTrack) -> av.VideoFrame:
    matrix = MATRICES[track.color_space]
    if frame.format == "rgb24" or (frame.format == "yuv420p" and frame.color_space != track.color_space):
        source, source_range = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb(frame)), format="rgb24"), "pc"
    else:
        source, source_range = _as_decoded(frame), frame.color_range
    source.colorspace = matrix  # of what comes out, where RGB goes in
    return source.reformat(
        width=width,
        height=height,
        format="yuv420p",
        src_color_range=RANGES[source_range],
        dst_color_range=RANGES[track.color_range],
        interpolation=_BICUBIC_ACCURATE,
    )


def _as_decoded(frame: Frame) -> av.VideoFrame:
    picture = av.VideoFrame(frame.width, frame.height, "yuv420p")
    _fill(picture, 0, np.asarray(frame.planes[0]))
    for plane in (1, 2):
        _fill(picture, plane, np.asarray(frame.planes[plane]) if frame.format == "yuv420p" else None)
    return picture


def _planes(picture: av.VideoFrame) -> list[np.ndarray]:
    """Views of the picture's planes, without the bytes at the lines' ends."""
    return [
        np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        for plane in picture.planes
    ]


def _fill(picture: av.VideoFrame, plane: int, values: np.ndarray | None, neutral: int = 128) -> None:
    target = _planes(picture)[plane]
    if values is None:
        target[:] = neutral
        return
    height, width = values.shape
    target[:height, :width] = values
    target[height:, :width] = target[height - 1 : height, :width]
    target[:, width:] = target[:, width - 1 : width]


def _padded(planes: list[np.ndarray], track: VideoTrack) -> av.VideoFrame:
    picture = av.VideoFrame(track.width, track.height, "yuv420p")
    for index, values in enumerate(planes):
        _fill(picture, index, values)
    return picture


def _on_black(planes: list[np.ndarray], track: VideoTrack) -> av.VideoFrame:
    height, width = planes[0].shape
    # Even, so that chroma and luma stay in step.
    left, top = (track.width - width) // 2 // 2 * 2, (track.height - height) // 2 // 2 * 2
    picture = av.VideoFrame(track.width, track.height, "yuv420p")
    black = 16 if track.color_range == "tv" else 0
    for index, values in enumerate(planes):
        step = 1 if index == 0 else 2
        target = _planes(picture)[index]
        target[:] = black if index == 0 else 128
        y, x = top // step, left // step
        target[y : y + values.shape[0], x : x + values.shape[1]] = values
    return picture
