"""Motion masks of a stream: frames and flow in, masks, objects with ids and events out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raftline.camera.camera_motion import CameraMotion
from raftline.camera.working_grid import WorkingGrid
from raftline.kernels.cell import CELL_PX
from raftline.masks.backdating import BackdatingQueue
from raftline.masks.detection import Detection, MovingObject
from raftline.masks.frame_input import FrameInput
from raftline.masks.margin import with_margin
from raftline.masks.motion_detector import MotionDetector
from raftline.masks.motion_events import EventRecorder, OpenEvent
from raftline.masks.options import MotionMaskOptions

_DEFAULT_STEP_SECONDS = 1.0 / 30.0
"""For frames without a time: the usual rate of video."""


@dataclass(frozen=True)
class FrameMotion:
    """What moves in one frame, other than the camera."""

    seconds: float
    """Presentation time of the frame."""
    mask: np.ndarray
    """uint8 (H, W): 255 moves, 0 does not."""
    objects: tuple[MovingObject, ...]
    """Those that count."""
    ended: OpenEvent | None
    """The event that ended, as is known from this frame on."""
    began: OpenEvent | None
    """The event that began."""
    camera: CameraMotion | None
    """The camera's motion since the frame before, ``none`` as its model where it is unknown; None: the first frame of a
    run has none before it."""
    uncertain: bool
    """What moves may not be an object: a part of the frame was taken to be scenery at another depth, over a third of it
    moves against the camera, or the camera's motion is unknown."""
    regions_too_small: int = 0
    """Regions smaller than `MotionMaskOptions.min_area` that would count from this frame on, were they large enough."""


@dataclass(frozen=True)
class _Taken:
    """A frame that was taken, while its result waits."""

    seconds: float
    before: Mapping[str, Any] | None
    """The snapshot before it was taken."""


class MotionMasks:
    """Finds what moves in one stream of frames, given the optical flow between them.

    Give `step` every frame in order, with the flow from the frame before. Whether the camera stands, moves, or cannot
    be told is decided for each frame. Results come in order, one for each frame; with `MotionMaskOptions.backdate` up
    to about `persistence_seconds` later, so that an object shows from its first frame on.

        masks = MotionMasks(MotionMaskOptions(min_area=0.001))
        for image, grid_px in stream:  # uint8 (H, W, 3) RGB; None for the first
            for result in masks.step([image], grid_px, step_seconds=1 / 25):
                show(result.mask)
        for result in masks.flush():
            show(result.mask)
    """

    def __init__(self, options: MotionMaskOptions | None = None) -> None:
        """Begin a stream; None: the default options."""
        self._options = options or MotionMaskOptions()
        self._events = EventRecorder(self._options.merge_seconds, self._options.after_seconds)
        self._detector: MotionDetector | None = None
        self._seconds = 0.0
        self._waiting: BackdatingQueue[_Taken] = BackdatingQueue()

    @property
    def waiting(self) -> int:
        """How many of the latest frames have no result yet."""
        return len(self._waiting)

    def step(
        self,
        planes: Sequence[np.ndarray],
        grid_px: np.ndarray | None,
        *,
        seconds: float | None = None,
        step_seconds: float | None = None,
        confidence: np.ndarray | None = None,
        duplicate: bool = False,
        still: bool = False,
    ) -> list[FrameMotion]:
        """Take the next frame.

        Args:
            planes: uint8 planes of the frame: Y (H, W), U and V (ceil(H/2), ceil(W/2)) of YUV 4:2:0, or one RGB
                (H, W, 3), or one grey (H, W). Another size than before begins anew, but for the events.
            grid_px: float32 (ceil(H/8), ceil(W/8), 2), flow (u, v) px from the frame before at the centres of its 8 px
                cells, x right, y down. None for a frame that does not follow from the one before: the first, or the
                first after a cut.
            seconds: Presentation time. None: that of the frame before and `step_seconds`.
            step_seconds: Time since the frame before. None or 0: 1/30.
            confidence: float32 (ceil(H/8), ceil(W/8)), how far the flow is trusted, 0-1. None: everywhere alike.
            duplicate: The frame repeats the one before; its flow is not looked at.
            still: The camera stands, and nothing has changed for a while but noise. It saves time.

        Returns:
            The results that are ready, in order: none, one or several, of this frame or of earlier ones.

        Raises:
            ValueError: The flow has not the shape that belongs to the frame.
        """
        before = self._state() if self._options.backdate else None
        grid = WorkingGrid(planes[0].shape[1], planes[0].shape[0])
        _check_flow(grid_px, grid)
        step_seconds = step_seconds if step_seconds is not None and step_seconds > 0 else _DEFAULT_STEP_SECONDS
        self._seconds = self._seconds + step_seconds if seconds is None else seconds
        ready: list[FrameMotion] = []
        if self._detector is None or self._detector.grid != grid:
            ready = self.flush()
            self._detector = MotionDetector(self._options, grid, self._events)
        frame = FrameInput(planes, grid, grid_px, confidence, duplicate, still, self._seconds, step_seconds)
        found = self._detector.step(frame)
        taken = _Taken(self._seconds, before)
        if not self._options.backdate:
            return [*ready, self._result(taken, found)]
        until_seconds = self._seconds + self._detector.confirmation_seconds(step_seconds)
        self._waiting.push(taken, found, until_seconds, first=grid_px is None)
        return [*ready, *self._results(self._waiting.leaving(self._detector.tracks, grid, self._seconds))]

    def gap(self) -> list[FrameMotion]:
        """Frames are missing from here on. Returns the results that were waiting, as they are."""
        if self._detector is not None:
            self._detector.gap()
        return self.flush()

    def flush(self) -> list[FrameMotion]:
        """Return the results that were waiting, as they are: at the end, or to wait no longer."""
        return self._results(self._waiting.rest())

    def snapshot(self) -> Mapping[str, Any]:
        """State as JSON values, some kB: ids, events and what is followed; the background is learned again.

        It is the state before the oldest frame that still waits: after `restore`, give the last `waiting` frames again.
        """
        oldest = self._waiting.oldest
        return self._state() if oldest is None or oldest.before is None else oldest.before

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from a snapshot of an object with the same options."""
        self._events.restore(snapshot["events"])
        self._seconds = snapshot["seconds"]
        if snapshot["detector"]:
            grid = WorkingGrid(*snapshot["detector"]["size"])
            self._detector = MotionDetector(self._options, grid, self._events)
            self._detector.restore(snapshot["detector"])

    def full_state(self) -> Mapping[str, Any]:
        """All of it, some 50 bytes a point: JSON values and arrays, which are no copies and change with the next frame.

        Unlike `snapshot` it holds the background, and the frames that wait: these are not to be given again.
        """
        return {
            "detector": None if self._detector is None else self._detector.full_state(),
            "events": self._events.state(),
            "seconds": self._seconds,
            "waiting": self._waiting.full_state(),
        }

    def restore_full(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where an object with the same options had this `full_state`."""
        self._events.restore(state["events"])
        self._seconds = state["seconds"]
        self._waiting = BackdatingQueue()
        self._waiting.restore_full(state["waiting"], _Taken)
        self._detector = None
        if state["detector"]:
            self._detector = MotionDetector(self._options, WorkingGrid(*state["detector"]["size"]), self._events)
            self._detector.restore_full(state["detector"])

    def background(self) -> Mapping[str, Any] | None:
        """What was learned of the scene, in the form of `full_state`; None: nothing."""
        if self._detector is None:
            return None
        return {
            "size": [self._detector.grid.width, self._detector.grid.height],
            **self._detector.background.full_state(),
        }

    def restore_background(self, state: Mapping[str, Any]) -> None:
        """Take up an earlier `background`, if the frames still have that size; after `restore`."""
        detector = self._detector
        if detector is not None and [detector.grid.width, detector.grid.height] == state["size"]:
            detector.background.restore_full(state)

    def _state(self) -> Mapping[str, Any]:
        detector = self._detector.state() if self._detector else None
        return {"detector": detector, "events": self._events.state(), "seconds": self._seconds}

    def _results(self, left: Iterator[tuple[_Taken, Detection]]) -> list[FrameMotion]:
        return [self._result(*each) for each in left]

    def _result(self, taken: _Taken, found: Detection) -> FrameMotion:
        mask = with_margin(found.mask, self._options.margin_px)
        what = (found.objects, found.ended, found.began, found.camera, found.uncertain, found.regions_too_small)
        return FrameMotion(taken.seconds, mask, *what)


def _check_flow(grid_px: np.ndarray | None, grid: WorkingGrid) -> None:
    expected = (-(-grid.height // CELL_PX), -(-grid.width // CELL_PX), 2)
    if grid_px is not None and grid_px.shape != expected:
        raise ValueError(
            f"the flow grid of a frame of {grid.width}x{grid.height} px has shape {expected}, found {grid_px.shape}"
        )
