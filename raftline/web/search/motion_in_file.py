"""Where in a video file something moves inside an area."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.error
import cv2
import numpy as np

from raftline.camera.zones import Polygon, zone_mask
from raftline.flow.estimators import open_session
from raftline.flow.options import FlowOptions
from raftline.kernels.cell import CELL_PX
from raftline.masks.motion_masks import FrameMotion, MotionMasks
from raftline.masks.options import MotionMaskOptions

_SIDE_PX = 320
"""Longest side of the frames that are looked at. Chosen by hand: what is a hundredth of it wide is still some px."""
_FPS = 8.0
"""Of them. Chosen by hand: an object that crosses the picture within a second is still confirmed."""
_MERGE_SECONDS = 2.0
"""Motion after a shorter pause is the same sight, as with events."""
_LEAST_SHARE = 0.01
"""Of the area, that moves: less is the edge of something beside it. Chosen by hand."""
_JPEG_QUALITY = 70


@dataclass
class Sight:
    """Something moved."""

    begin_seconds: float
    """In the file, as its pictures are shown."""
    end_seconds: float
    peak_area: float
    """Largest moving part of the area, as a share of the picture, 0-1."""
    picture: bytes
    """JPEG of the picture in which that was."""


class Sights:
    """Joins frames in which something moves in an area. What comes into it was followed outside of it already."""

    def __init__(self, area: Polygon) -> None:
        self._area = area
        self._open: Sight | None = None
        self._zone = np.zeros((0, 0), np.uint8)

    def take(self, motion: FrameMotion, image: np.ndarray) -> Sight | None:
        """A frame, and the RGB picture of about that time. Returns the sight that is over."""
        over = self.end() if self._open and motion.seconds - self._open.end_seconds > _MERGE_SECONDS else None
        if motion.mask.shape != self._zone.shape:
            self._zone = zone_mask([self._area], (), *motion.mask.shape[::-1]).astype(np.uint8)
        moving = cv2.countNonZero(motion.mask & self._zone)
        if moving <= _LEAST_SHARE * cv2.countNonZero(self._zone) or not any(each.moves for each in motion.objects):
            return over
        area = moving / motion.mask.size
        if self._open is None:
            self._open = Sight(motion.seconds, motion.seconds, area, _jpeg(image))
        elif area > self._open.peak_area:
            self._open.peak_area, self._open.picture = area, _jpeg(image)
        self._open.end_seconds = motion.seconds
        return over

    def end(self) -> Sight | None:
        """The sight that is open: it is over."""
        over, self._open = self._open, None
        return over


def motion_in_file(path: Path, area: Polygon) -> Iterator[tuple[float, Sight | None]]:
    """Look through a file. Gives (s from its begin, what moved until then and does no more), again and again.

    Args:
        path: Of the file.
        area: Where motion counts.

    Raises:
        av.error.FFmpegError, IndexError: There is no video in it. What was cut off ends before.
        ValueError: The area is no polygon.
    """
    flow = open_session(FlowOptions(estimator="dis"))
    masks = MotionMasks(MotionMaskOptions(backdate=False))
    sights, last = Sights(area), None
    for seconds, image in _frames(path):
        result = flow(image, full_resolution=False)
        is_first = result is None or result.start == "scene_cut"
        motions = masks.step(
            [image],
            None if result is None or is_first else result.grid_px,
            seconds=seconds,
            step_seconds=None if last is None else seconds - last,
            duplicate=result is not None and result.start == "duplicate",
        )
        last = seconds
        for motion in motions:
            yield seconds, sights.take(motion, image)
    yield last or 0.0, sights.end()


def _frames(path: Path) -> Iterator[tuple[float, np.ndarray]]:
    """(s from the begin, uint8 (H, W, 3) RGB), small and seldom enough; sides are multiples of the flow's cells."""
    with av.open(str(path), options={"protocol_whitelist": "file"}) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        size, wanted = None, -np.inf
        decoded = container.decode(stream)
        while (frame := _next(decoded)) is not None:
            if frame.time is None or frame.time < wanted:
                continue
            wanted = max(wanted, frame.time - 1 / _FPS) + 1 / _FPS if np.isfinite(wanted) else frame.time + 1 / _FPS
            size = size or _size(frame.width, frame.height)
            yield frame.time, frame.reformat(*size, format="rgb24").to_ndarray()


def _next(decoded: Iterator[Any]) -> Any:
    """The next frame; None at the end, which is also where a file that was cut off breaks."""
    try:
        return next(decoded, None)
    except av.error.FFmpegError:
        return None


def _size(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, _SIDE_PX / max(width, height)) / CELL_PX
    return CELL_PX * max(1, round(width * scale)), CELL_PX * max(1, round(height * scale))


def _jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()
