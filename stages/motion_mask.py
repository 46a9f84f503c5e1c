"""Finds what moves by itself: masks, objects with ids, events."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from pipeline import stage
from pipeline.messages import EndOfStream, Flow, Frame, Gap, Mask, Message, MotionEvent, MotionObject
from raftline.masks.detection import MovingObject
from raftline.masks.motion_events import OpenEvent
from raftline.masks.motion_masks import FrameMotion, MotionMasks
from raftline.masks.named_zones import Zones, polygons, zones_of
from raftline.masks.options import MotionMaskOptions
from stages.shared.zone_section import ZoneSection


class MotionMask(stage.Stage):
    """One Mask for every frame: what moves against the camera, fast enough, large enough and for long enough.

    Objects keep an id while they are followed. An event lasts as long as anything moves, and begins where its first
    object began to move. A mask is `uncertain` if the motion may not be an object's: a part of the frame was taken to
    be scenery at another depth and left out, over a third of the frame moves against the camera, or the camera's motion
    is unknown. An event is uncertain if most of its masks are.

    Speeds are px/s of the full frame, after the camera's motion is subtracted.

    The status counts `regions_too_small`: what would be an object, were it not smaller than `min_area`.
    """

    class Options(stage.Options):
        speed_px_s: float | None = Field(
            None,
            gt=0,
            description="a region counts if some of it is at least this fast, px/s; null: 3 % of the frame's diagonal "
            "per second",
        )
        slow_px_s: float | None = Field(
            None,
            gt=0,
            description="such a region extends to all connected parts at least this fast, px/s; null: 0.45 * "
            "speed_px_s",
        )
        min_area: float = Field(0.0008, ge=0, le=1, description="smallest region, share of the frame, 0-1")
        persistence_seconds: float = Field(
            0.2,
            ge=0,
            le=10,
            description="an object counts after it has been seen moving for this long, s; at low frame rates it also "
            "takes 4 frames, or 0.5 s; 0: it counts at once",
        )
        backdate: Literal["auto", "always", "never"] = Field(
            "auto",
            description="always: delay masks until new objects are confirmed, at most about persistence_seconds, and "
            "show each object from its first frame on; never: no delay, an object shows from the frame that confirms "
            "it; auto: always for files, never for cameras",
        )
        hold_seconds: float = Field(
            0.7, ge=0, le=60, description="an object that is out of sight for at most this long keeps its id, s"
        )
        merge_seconds: float = Field(
            2.0, ge=0, le=600, description="motion after a pause of at most this long belongs to the same event, s"
        )
        stopped_seconds: float = Field(
            1.0,
            ge=0,
            le=3600,
            description="an object that stops stays in the mask this long, s; under a camera that moves, at most as "
            "long as it was seen moving",
        )
        margin_px: int = Field(
            0, ge=0, le=100, description="grow the mask by this many px, for example to blur or to fill in objects"
        )
        shadows: bool = Field(
            False,
            description="fixed camera only: count moving shadows as motion; under a moving camera they always count",
        )
        after_seconds: float = Field(
            0.0, ge=0, le=600, description="an event lasts this much longer than its last motion, s"
        )
        watch: list[list[tuple[float, float]]] = Field(
            [],
            description="motion counts only inside these polygons [[x, y], ...], in shares of the frame, 0-1; "
            "empty: everywhere",
        )
        ignore: list[list[tuple[float, float]]] = Field(
            [], description="motion does not count inside these polygons [[x, y], ...], in shares of the frame, 0-1"
        )
        zones: dict[str, dict[str, ZoneSection]] = Field(
            {},
            description="zones by the name of the source and their own; beside `watch` and `ignore`, for all sources",
        )
        camera: Literal["auto", "fixed", "moving"] = Field(
            "auto", description="fixed: the camera stands still; moving: it never does; auto: decided for each frame"
        )
        model: Literal["translation", "similarity", "affine", "homography"] = Field(
            "homography",
            description="model of the camera's motion; a simpler one is fitted where a frame has too little texture",
        )
        slowest_px_s: float = Field(0.0, ge=0, description="slower objects do not count, px/s")
        fastest_px_s: float | None = Field(None, gt=0, description="faster objects do not count, px/s; null: no limit")
        slowest_m_s: float = Field(0.0, ge=0, description="slower objects do not count, m/s; needs metres_per_px")
        fastest_m_s: float | None = Field(
            None, gt=0, description="faster objects do not count, m/s; needs metres_per_px; null: no limit"
        )
        metres_per_px: float | None = Field(None, gt=0, description="ground scale, metres per px of the frame")
        direction_degrees: float | None = Field(
            None,
            ge=0,
            lt=360,
            description="only objects that move this way count, degrees: 0 right, 90 down, 180 left, 270 up; null: any",
        )
        direction_within_degrees: float = Field(
            45.0, gt=0, le=180, description="how far an object's direction may be off, to either side, degrees"
        )

        @model_validator(mode="after")
        def _fit_together(self) -> Any:
            self.for_library(live=False)
            return self

        def for_library(self, live: bool, zones: Zones | None = None) -> MotionMaskOptions:
            """The same for `MotionMasks`. live: the source is a camera; zones: its own."""
            backdate = self.backdate == "always" or (self.backdate == "auto" and not live)
            within = {
                "watch": [*self.watch, *polygons(zones or {}, "watch")],
                "ignore": [*self.ignore, *polygons(zones or {}, "ignore")],
            }
            return MotionMaskOptions(**{**self.model_dump(exclude={"zones"}), **within, "backdate": backdate})

    reads = (Flow,)
    writes = Mask
    takes_10_bits = True
    work = 3.0
    accuracy = "cells"
    snapshot_bytes = 1_000_000  # what is followed: some 400 bytes each, and there may be hundreds in rain

    options: Options

    @classmethod
    def modules(cls, given: Mapping[str, Any]) -> Iterable[str]:
        return ("raftline.kernels.ahead.masks",)

    def open(self) -> None:
        source = self.context.source
        self._zones = {name: each.for_library() for name, each in self.options.zones.get(source.name, {}).items()}
        self._masks = MotionMasks(self.options.for_library(source.live, self._zones))
        self._waiting: deque[Flow] = deque()
        self._last = (0, -1)
        """Epoch and sequence of the last message in the state."""
        self._seen_index: int | None = None
        """Of the last frame that was looked at."""

    def process(self, message: Flow) -> Iterable[Message]:
        if (position := (message.header.epoch, message.header.sequence)) <= self._last:
            self._waiting.append(message)  # again, after a crash: its result waits in the state
            return ()
        self._last = position
        results = self._masks.step(
            [np.asarray(plane) for plane in message.frame.in_8_bits().planes],
            _array(message.grid_px),
            seconds=message.header.pts_seconds,
            step_seconds=message.step_seconds,
            confidence=_array(message.confidence),
            duplicate=message.start in ("duplicate", "passing") and self._repeats_what_was_seen(message),
            still=message.start == "still",
        )
        self._seen_index = message.frame.index
        self._waiting.append(message)
        return self._messages(results)

    def _repeats_what_was_seen(self, message: Flow) -> bool:
        """Whether the frame before a duplicate was looked at: of a camera it may have been dropped."""
        nothing_dropped = self.context.policy == "lossless" or self._seen_index is None
        return nothing_dropped or message.previous_index in (None, self._seen_index)

    def gap(self, gap: Gap) -> Iterable[Message]:
        self._last = (gap.header.epoch, gap.header.sequence)
        return self._messages(self._masks.gap())

    def flush(self, end: EndOfStream) -> Iterable[Message]:
        return self._messages(self._masks.flush())

    def unacked_window(self) -> int:
        return len(self._waiting)

    def snapshot(self) -> Mapping[str, Any]:
        return self._masks.snapshot()

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        self._masks.restore(snapshot)

    def checkpoint(self) -> Mapping[str, Any] | None:
        """Everything, so that a file's masks stay the same to the last bit; of a camera, what the scene looks like."""
        if self.context.policy == "live":
            return self._masks.background()
        return {"last": self._last, "masks": self._masks.full_state()}

    def restore_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        if self.context.policy == "live":
            self._masks.restore_background(checkpoint)
        else:
            self._last = tuple(checkpoint["last"])
            self._masks.restore_full(checkpoint["masks"])

    def _messages(self, results: Iterable[FrameMotion]) -> list[Message]:
        return [self._mask(self._waiting.popleft(), result) for result in results]

    def _mask(self, message: Flow, result: FrameMotion) -> Mask:
        if result.camera is not None and result.camera.model == "none":
            self.context.count("frames_camera_uncertain")
        if result.regions_too_small:
            self.context.count("regions_too_small", result.regions_too_small)
        return Mask(
            message.header,
            message.frame,
            result.mask,
            tuple(self._object(found, message.frame) for found in result.objects),
            tuple(
                _event(event, over, self.options.after_seconds)
                for event, over in ((result.ended, True), (result.began, False))
                if event
            ),
            None if result.camera is None else tuple(float(value) for value in result.camera.matrix.ravel()),
            result.uncertain,
        )

    def _object(self, found: MovingObject, frame: Frame) -> MotionObject:
        zones = zones_of(self._zones, found.box, found.velocity_px_s, frame.width, frame.height) if self._zones else ()
        return MotionObject(found.id, found.box, found.area_px, found.velocity_px_s, found.moves, zones)


def _array(values: Any) -> np.ndarray | None:
    return None if values is None else np.asarray(values)


def _event(event: OpenEvent, over: bool, after_seconds: float) -> MotionEvent:
    return MotionEvent(
        event.id,
        event.begin_seconds,
        event.last_seconds if over else None,
        event.peak_seconds,
        event.peak_area,
        event.object_ids,
        event.path,
        event.uncertain,
        after_seconds,
    )
