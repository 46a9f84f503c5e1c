"""Finds what moves by itself: masks, objects with ids, events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import cv2
import numpy as np
from pydantic import Field, field_validator

from pipeline import stage
from pipeline.messages import EndOfStream, Flow, Frame, Gap, Mask, Message, MotionEvent, MotionObject
from stages.motion.camera_motion import CameraMotion, fit_camera_motion
from stages.motion.motion_detector import Detection, MotionDetector
from stages.motion.motion_events import EventRecorder, OpenEvent
from stages.motion.residual_motion import Thresholds
from stages.motion.texture import texture_weights
from stages.motion.tracking import RegionTracker
from stages.motion.transforms import frame_corners, transform_points
from stages.motion.zones import zone_mask

_TRUSTED_CONFIDENCE = 0.1
_STILL_CAMERA_PX = 0.2
"""A camera that moves less than this at every corner stands still, and the fit's error is not subtracted."""
_DEFAULT_STEP_SECONDS = 1.0 / 30.0
_SLOW_SHARE = 0.45


class MotionMask(stage.Stage):
    """One Mask for every frame: where the flow is not the camera's, fast enough, large enough, for long enough.

    Speeds are px/s at the frame's size, after the camera's motion is taken away. A region counts from its first fast
    moment until it is slow, and shows in the mask once it was followed for the persistence time; events begin when
    their first object was first seen.
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
            0.2, ge=0, le=10, description="a region counts once it was seen moving for so long, in seconds"
        )
        hold_seconds: float = Field(
            0.7, ge=0, le=60, description="an object keeps its id if it is unseen for at most so long, in seconds"
        )
        merge_seconds: float = Field(
            2.0, ge=0, le=600, description="motion after a pause of at most so long is the same event, in seconds"
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
        self._luma: np.ndarray | None = None
        self._position = (0, 0)
        self._seconds = 0.0

    def process(self, message: Flow) -> Iterable[Message]:
        frame, luma = message.frame, _luma(message.frame)
        position = (message.header.epoch, message.header.sequence)
        if position <= self._position:  # retained for its picture alone
            self._luma = luma
            return
        self._position = position
        step_seconds = message.step_seconds or 0.0
        if step_seconds <= 0:
            step_seconds = _DEFAULT_STEP_SECONDS
        pts_seconds = message.header.pts_seconds
        self._seconds = self._seconds + step_seconds if pts_seconds is None else pts_seconds
        if self._detector is None or (self._detector.width, self._detector.height) != (frame.width, frame.height):
            self._detector = self._detector_for(frame.width, frame.height)
        camera, uncertain = None, False
        if message.grid_px is None:
            found = self._detector.still(self._seconds)
        elif message.start == "duplicate":
            found, camera = self._detector.repeated(self._seconds, self._last), CameraMotion.still()
        else:
            camera = self._camera(message, luma)
            uncertain = camera.model == "none"
            flow_px = np.asarray(message.grid_px if message.flow_px is None else message.flow_px)
            lumas = None if self._luma is None else (self._luma, luma)
            found = self._detector.detect(
                flow_px, camera.matrix, camera.residual_px, lumas, self._seconds, step_seconds
            )
        self._last, self._luma = found, luma
        yield Mask(
            message.header,
            frame,
            found.mask,
            tuple(MotionObject(o.track.id, o.box, o.area_px, o.track.velocity) for o in found.objects),
            tuple(_event(event, over) for event, over in ((found.ended, True), (found.began, False)) if event),
            None if camera is None else tuple(float(value) for value in camera.matrix.ravel()),
            uncertain,
        )

    def gap(self, gap: Gap) -> Iterable[Message]:
        self._last = self._luma = None
        return ()

    def flush(self, end: EndOfStream) -> Iterable[Message]:
        return ()

    def retained(self) -> int:
        return 0 if self._luma is None else 1

    def snapshot(self) -> Mapping[str, Any]:
        detector = self._detector.state() if self._detector else None
        return {
            "detector": detector,
            "events": self._events.state(),
            "seconds": self._seconds,
            "position": self._position,
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        self._events.restore(snapshot["events"])
        self._seconds = snapshot["seconds"]
        self._position = tuple(snapshot["position"])
        if snapshot["detector"]:
            self._detector = self._detector_for(*snapshot["detector"]["size"])
            self._detector.restore(snapshot["detector"])

    def _detector_for(self, width: int, height: int) -> MotionDetector:
        options = self.options
        speed_px_s = options.speed_px_s or 0.03 * float(np.hypot(width, height))
        slow_px_s = min(options.slow_px_s or _SLOW_SHARE * speed_px_s, speed_px_s)
        zones = options.watch or options.ignore
        return MotionDetector(
            width,
            height,
            Thresholds(speed_px_s, slow_px_s, options.min_area),
            zone_mask(options.watch, options.ignore, width, height) if zones else None,
            RegionTracker(options.persistence_seconds, options.hold_seconds, 1),
            self._events,
        )

    def _camera(self, message: Flow, luma: np.ndarray) -> CameraMotion:
        """How the camera moved; ``none`` and no motion where that cannot be told."""
        size = (message.frame.width, message.frame.height)
        weights = texture_weights(luma)
        if message.confidence is not None:
            weights = weights * np.asarray(message.confidence)
        motion = fit_camera_motion(np.asarray(message.grid_px), *size, self.options.model, weights)
        corners = frame_corners(*size)
        still = np.abs(transform_points(motion.matrix, corners) - corners).max() < _STILL_CAMERA_PX
        if self.options.camera == "fixed" or (self.options.camera == "auto" and still and motion.model != "none"):
            return CameraMotion(np.eye(3), "translation", motion.inlier_share, 1.0, motion.residual_px)
        if motion.confidence < _TRUSTED_CONFIDENCE:
            self.context.count("frames_camera_uncertain")
            return CameraMotion.unknown(motion.reason)
        return motion


def _event(event: OpenEvent, over: bool) -> MotionEvent:
    end_seconds = event.last_seconds if over else None
    return MotionEvent(
        event.id, event.begin_seconds, end_seconds, event.peak_seconds, event.peak_area, event.object_ids
    )


def _luma(frame: Frame) -> np.ndarray:
    plane = np.asarray(frame.planes[0])
    return plane if plane.ndim == 2 else cv2.cvtColor(plane, cv2.COLOR_RGB2GRAY)
