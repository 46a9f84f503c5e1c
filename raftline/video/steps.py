"""What `raftline.video` gives for a frame, an event or a whole video."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.messages import Flow, Frame, Mask, MotionObject
from stages.shared.color import rgb


@dataclass(frozen=True)
class FlowStep:
    """One frame of a video, and the motion that led to it."""

    index: int
    """Which frame of the video this is, from 0."""
    time_seconds: float | None
    """Presentation time, s; None where the video does not say it."""
    start: str
    """How the estimate began: ``first``, ``cold``, ``warm``, ``duplicate``, ``still``, ``scene_cut``, ``passing``
    or ``resumed``. After ``first`` and ``scene_cut`` there is no flow; after ``duplicate``, ``still`` and ``passing``
    (a single frame unlike both its neighbors) it is zero and was not estimated. ``resumed`` is the frame after that
    one, with flow from the frame before it."""
    flow_px: np.ndarray | None
    """float32 (H, W, 2): (u, v) in px, x right, y down, at the pixels of the frame before: what was at (x, y) there is
    at (x + u, y + v) here. None where there is no flow, and with ``full_resolution=False``."""
    grid_px: np.ndarray | None
    """float32 (ceil(H/8), ceil(W/8), 2): the same at the centers of cells of 8x8 px."""
    confidence: np.ndarray | None
    """float32 (ceil(H/8), ceil(W/8)), 0-1: how far `grid_px` can be trusted; only with ``confidence=True``."""
    _frame: Frame = field(repr=False)

    @functools.cached_property
    def frame(self) -> np.ndarray:
        """uint8 (H, W, 3), RGB."""
        return rgb(self._frame)


@dataclass(frozen=True)
class MotionStep:
    """One frame of a video, and what moves in it other than the camera."""

    index: int
    """Which frame of the video this is, from 0."""
    time_seconds: float | None
    """Presentation time, s; None where the video does not say it."""
    mask: np.ndarray
    """uint8 (H, W): 255 moves, 0 does not."""
    objects: tuple[MotionObject, ...]
    """What moves, one by one: id, box, area, velocity."""
    camera: np.ndarray | None
    """float64 (3, 3): homography from px of the frame before to px of this one, as the camera moved."""
    uncertain: bool
    """Whether the camera's motion and the objects' could not be told apart."""
    _frame: Frame = field(repr=False)

    @functools.cached_property
    def frame(self) -> np.ndarray:
        """uint8 (H, W, 3), RGB."""
        return rgb(self._frame)


@dataclass(frozen=True)
class Event:
    """Motion from its beginning to its end, as in the log of ``raftline run motion_masks``."""

    id: int
    begin_seconds: float
    """Presentation time of the first frame, s."""
    end_seconds: float
    """Presentation time of the last frame, s."""
    duration_seconds: float
    peak_seconds: float
    """When most of the frame moved, s."""
    peak_area: float
    """How much, as a share of the frame, 0-1."""
    object_ids: tuple[int, ...]
    path: tuple[tuple[float, float, float], ...]
    """(s, x, y): where its largest object was, center of its box in px."""
    uncertain: bool
    """Whether most of its masks are uncertain."""
    cut_short: bool
    """Whether the video ended before the motion did."""


@dataclass(frozen=True)
class StabilizedVideo:
    """What `stabilize` wrote."""

    path: Path
    frames: int
    seconds: float
    """How long it took."""
    status: Mapping[str, Mapping[str, str]]
    """What each stage says about how it ran (device, zoom, fallbacks), by name of the stage."""


def flow_step(message: Flow) -> FlowStep:
    """The step that a message of the stage `flow` is about."""
    flow_px = None if message.flow_px is None else np.asarray(message.flow_px).astype(np.float32)
    grid_px = None if message.grid_px is None else np.asarray(message.grid_px)
    confidence = None if message.confidence is None else np.asarray(message.confidence)
    frame = message.frame
    return FlowStep(frame.index, message.header.pts_seconds, message.start, flow_px, grid_px, confidence, frame)


def motion_step(message: Mask) -> MotionStep:
    """The step that a message of the stage `motion_mask` is about."""
    camera = None if message.camera is None else np.array(message.camera).reshape(3, 3)
    mask, frame = np.asarray(message.mask), message.frame
    seconds = message.header.pts_seconds
    return MotionStep(frame.index, seconds, mask, message.objects, camera, message.uncertain, frame)


def event(line: Mapping[str, Any]) -> Event:
    """The event that a line of an event log is about."""
    known = {name: line[name] for name in Event.__dataclass_fields__}
    path = tuple((seconds, x, y) for seconds, x, y in line["path"])
    return Event(**{**known, "object_ids": tuple(line["object_ids"]), "path": path})
