"""Finds what moves by itself: masks, objects with ids, events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from pydantic import Field, field_validator, model_validator

from pipeline import stage
from pipeline.messages import EndOfStream, Flow, Gap, Mask, Message, MotionEvent, MotionObject
from raftline.camera.camera_motion import CameraMotion, fit_camera_motion
from raftline.camera.texture import texture_weights
from raftline.camera.transforms import frame_corners, transform_points
from raftline.camera.working_grid import WorkingGrid
from raftline.masks.backdating import WaitingFrames
from raftline.masks.detection import Detection
from raftline.masks.margin import with_margin
from raftline.masks.motion_detector import MotionDetector
from raftline.masks.motion_events import EventRecorder, OpenEvent
from raftline.masks.residual_motion import Thresholds
from raftline.masks.tracking import RegionTracker
from raftline.masks.velocity_filter import VelocityFilter
from raftline.masks.zones import zone_mask

_TRUSTED_CONFIDENCE = 0.1
_STILL_CAMERA_PX = 0.2
"""A camera that moves less than this at every corner stands still, and the fit's error is not subtracted."""
_DEFAULT_STEP_SECONDS = 1.0 / 30.0
_SLOW_SHARE = 0.45


class _Looked(NamedTuple):
    """A message whose mask waits."""

    message: Flow
    camera: CameraMotion | None
    before: Mapping[str, Any] | None
    """The snapshot to go on from, should this message come again."""


class MotionMask(stage.Stage):
    """One Mask for every frame: where the flow is not the camera's, fast enough, large enough, for long enough.

    A mask is `uncertain` where that cannot be told: a part of the picture was taken to be scenery at another depth and
    left out, a third of it moves against the camera, or the camera's motion is not known. An event is, if most of its
    masks are.

    Speeds are px/s at the frame's size, after the camera's motion is taken away. A region counts from its first fast
    moment until it is slow, if it was followed for the persistence time. Masks of files wait for that, and show it from
    its first frame on; a camera's do not wait, and show it from then on (`backdate`). Events begin when their first
    object was first seen.
    """

    class Options(stage.Options):
        speed_px_s: float | None = Field(
            None,
            gt=0,
            description="a region counts if some of it is as fast as this, px/s; null: 3 % of the diagonal a second",
        )
        slow_px_s: float | None = Field(
            None, gt=0, description="and reaches as far as it is faster than this, px/s; null: 0.45 of speed_px_s"
        )
        min_area: float = Field(0.0008, ge=0, le=1, description="smallest region, as a share of the frame, 0-1")
        persistence_seconds: float = Field(
            0.2,
            ge=0,
            le=10,
            description="a region counts once it was seen moving for so long, in seconds; where frames are "
            "few, and this is not 0, in 4 frames, or for 0.5 s",
        )
        backdate: Literal["auto", "always", "never"] = Field(
            "auto",
            description="always: masks wait until what begins to move has proved itself, for persistence_seconds at "
            "most, and show it from its first frame on; never: from then on; auto: always for files, never for cameras",
        )
        hold_seconds: float = Field(
            0.7, ge=0, le=60, description="an object keeps its id if it is unseen for at most so long, in seconds"
        )
        merge_seconds: float = Field(
            2.0, ge=0, le=600, description="motion after a pause of at most so long is the same event, in seconds"
        )
        stopped_seconds: float = Field(
            1.0, ge=0, le=3600, description="what stops stays in the mask for so long, under a fixed camera, in seconds"
        )
        margin_px: int = Field(
            0,
            ge=0,
            le=100,
            description="the mask reaches so far beyond what moves, px: room to blur or fill in",
        )
        shadows: bool = Field(
            False, description="under a fixed camera, a shadow that moves counts as well; under a moving one it does"
        )
        after_seconds: float = Field(
            0.0, ge=0, le=600, description="an event goes on for so long after its last motion, in seconds"
        )
        watch: list[list[tuple[float, float]]] = Field(
            [],
            description="polygons [[x, y], ...] in shares of the frame, 0-1, in which motion counts; none: everywhere",
        )
        ignore: list[list[tuple[float, float]]] = Field(
            [], description="polygons [[x, y], ...] in shares of the frame, 0-1, in which motion does not count"
        )
        camera: Literal["auto", "fixed", "moving"] = Field(
            "auto", description="fixed: the camera stands still; moving: it does not; auto: decided for each frame"
        )
        model: Literal["translation", "similarity", "affine", "homography"] = Field(
            "homography", description="model of the camera's motion; a simpler one where the picture supports no more"
        )

        slowest_px_s: float = Field(0.0, ge=0, description="slower objects do not count, px/s; 0: by speed_px_s alone")
        fastest_px_s: float | None = Field(None, gt=0, description="faster objects do not count, px/s; null: any")
        slowest_m_s: float = Field(0.0, ge=0, description="the same in m/s; needs metres_per_px")
        fastest_m_s: float | None = Field(None, gt=0, description="the same in m/s; needs metres_per_px")
        metres_per_px: float | None = Field(None, gt=0, description="ground scale: metres that a px of the frame spans")
        direction_degrees: float | None = Field(
            None, ge=0, lt=360, description="only objects that go there count: 0 right, 90 down, 180 left; null: any"
        )
        direction_within_degrees: float = Field(
            45.0, gt=0, le=180, description="how far from that direction an object may go, to either side, degrees"
        )

        @model_validator(mode="after")
        def _metres_have_a_scale(self) -> Any:
            if self.metres_per_px is None and (self.slowest_m_s > 0 or self.fastest_m_s is not None):
                raise ValueError("slowest_m_s and fastest_m_s need metres_per_px: the metres a px spans, e.g. 0.05")
            return self

        @field_validator("watch", "ignore")
        @classmethod
        def _polygons(cls, zones: list[list[tuple[float, float]]]) -> list[list[tuple[float, float]]]:
            zone_mask(zones, [], 1, 1)
            return zones

    reads = (Flow,)
    writes = Mask

    options: Options

    def open(self) -> None:
        self._detector: MotionDetector | None = None
        self._events = EventRecorder(self.options.merge_seconds, self.options.after_seconds)
        self._last: Detection | None = None
        self._seconds = 0.0
        self._waiting: WaitingFrames[_Looked] = WaitingFrames()
        live = self.context.source.live
        self._backdates = self.options.backdate == "always" or (self.options.backdate == "auto" and not live)

    def process(self, message: Flow) -> Iterable[Message]:
        before = self._state() if self._backdates else None
        frame = message.frame
        step_seconds = message.step_seconds or 0.0
        if step_seconds <= 0:
            step_seconds = _DEFAULT_STEP_SECONDS
        pts_seconds = message.header.pts_seconds
        self._seconds = self._seconds + step_seconds if pts_seconds is None else pts_seconds
        if self._detector is None or self._detector.grid != WorkingGrid(frame.width, frame.height):
            yield from self._rest()
            self._detector = self._detector_for(frame.width, frame.height)
        self._last, camera = self._found(self._detector, message, step_seconds)
        looked = _Looked(message, camera, before)
        if not self._backdates:
            yield self._mask(looked, self._last)
            return
        until_seconds = self._seconds + self._detector.proof_seconds(step_seconds)
        self._waiting.push(looked, self._last, until_seconds, first=message.grid_px is None)
        for each in self._waiting.leaving(self._detector.tracks, self._detector.grid, self._seconds):
            yield self._mask(*each)

    def _found(
        self, detector: MotionDetector, message: Flow, step_seconds: float
    ) -> tuple[Detection, CameraMotion | None]:
        """What moves, and the camera's motion; None where the frame before is not known."""
        planes = [np.asarray(plane) for plane in message.frame.planes]
        if message.grid_px is None:
            return detector.still(planes, self._seconds), None
        if message.start == "duplicate":
            return detector.repeated(self._seconds, self._last), CameraMotion.still()
        stands = self._stands(detector, planes, step_seconds)
        camera = CameraMotion.still() if stands else self._camera(message, planes)
        still = stands or _is_still(camera, message.frame.width, message.frame.height)
        found = detector.detect(
            np.asarray(message.grid_px),
            None if still else camera,
            self._seconds,
            step_seconds,
            camera_known=camera.model != "none",
        )
        return found, camera

    def gap(self, gap: Gap) -> Iterable[Message]:
        self._last = None
        return self._rest()

    def flush(self, end: EndOfStream) -> Iterable[Message]:
        return self._rest()

    def _rest(self) -> Iterable[Message]:
        """What waits, as it is."""
        return [self._mask(*each) for each in self._waiting.rest()]

    def unacked_window(self) -> int:
        return len(self._waiting)

    def snapshot(self) -> Mapping[str, Any]:
        oldest = self._waiting.oldest
        return self._state() if oldest is None or oldest.before is None else oldest.before

    def _mask(self, looked: _Looked, found: Detection) -> Mask:
        message, camera, _ = looked
        if camera is not None and camera.model == "none":
            self.context.count("frames_camera_uncertain")
        return Mask(
            message.header,
            message.frame,
            with_margin(found.mask, self.options.margin_px),
            tuple(MotionObject(o.track.id, o.box, o.area_px, o.track.velocity) for o in found.objects),
            tuple(_event(event, over) for event, over in ((found.ended, True), (found.began, False)) if event),
            None if camera is None else tuple(float(value) for value in camera.matrix.ravel()),
            found.uncertain,
        )

    def _state(self) -> Mapping[str, Any]:
        detector = self._detector.state() if self._detector else None
        return {"detector": detector, "events": self._events.state(), "seconds": self._seconds}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        self._events.restore(snapshot["events"])
        self._seconds = snapshot["seconds"]
        if snapshot["detector"]:
            self._detector = self._detector_for(*snapshot["detector"]["size"])
            self._detector.restore(snapshot["detector"])

    def _detector_for(self, width: int, height: int) -> MotionDetector:
        options = self.options
        speed_px_s = options.speed_px_s or 0.03 * float(np.hypot(width, height))
        slow_px_s = min(options.slow_px_s or _SLOW_SHARE * speed_px_s, speed_px_s)
        grid = WorkingGrid(width, height)
        zones = options.watch or options.ignore
        return MotionDetector(
            grid,
            Thresholds(speed_px_s, slow_px_s, options.min_area),
            zone_mask(options.watch, options.ignore, *grid.shape[::-1]) if zones else None,
            RegionTracker(options.persistence_seconds, options.hold_seconds, grid.step_px, slow_px_s),
            self._events,
            options.stopped_seconds,
            not options.shadows,
            self._velocities(),
        )

    def _velocities(self) -> VelocityFilter:
        options = self.options
        metre_px = 1.0 if options.metres_per_px is None else 1.0 / options.metres_per_px
        slowest = max(options.slowest_px_s, metre_px * options.slowest_m_s)
        fastest = options.fastest_px_s or np.inf
        if options.fastest_m_s is not None:
            fastest = min(fastest, metre_px * options.fastest_m_s)
        return VelocityFilter(slowest, fastest, options.direction_degrees, options.direction_within_degrees)

    def _stands(self, detector: MotionDetector, planes: list[np.ndarray], step_seconds: float) -> bool:
        """Whether the camera stands, as far as the option and the background tell."""
        seen = detector.stands(planes, step_seconds)
        return self.options.camera == "fixed" or (self.options.camera == "auto" and seen and detector.fixed)

    def _camera(self, message: Flow, planes: list[np.ndarray]) -> CameraMotion:
        """How the camera moved; ``none`` and no motion where that cannot be told."""
        luma = planes[0] if planes[0].ndim == 2 else cv2.cvtColor(planes[0], cv2.COLOR_RGB2GRAY)
        weights = texture_weights(luma)
        if message.confidence is not None:
            weights = weights * np.asarray(message.confidence)
        size = (message.frame.width, message.frame.height)
        motion = fit_camera_motion(np.asarray(message.grid_px), *size, self.options.model, weights)
        if self.options.camera == "auto" and motion.model != "none" and _is_still(motion, *size):
            return replace(motion, matrix=np.eye(3))
        if motion.confidence < _TRUSTED_CONFIDENCE:
            return CameraMotion.unknown(motion.reason)
        return motion


def _is_still(camera: CameraMotion, width: int, height: int) -> bool:
    """Whether every corner moves less than can be told from standing."""
    corners = frame_corners(width, height)
    return bool(np.abs(transform_points(camera.matrix, corners) - corners).max() < _STILL_CAMERA_PX)


def _event(event: OpenEvent, over: bool) -> MotionEvent:
    end_seconds = event.last_seconds if over else None
    return MotionEvent(
        event.id,
        event.begin_seconds,
        end_seconds,
        event.peak_seconds,
        event.peak_area,
        event.object_ids,
        event.path,
        event.uncertain,
    )
