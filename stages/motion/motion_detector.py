"""Flow in, moving regions with ids and events out: the state between frames and the steps of one."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from stages.motion.motion_events import EventRecorder, OpenEvent
from stages.motion.picture_change import snapped, supported
from stages.motion.residual_motion import (
    Thresholds,
    carried_forward,
    full_size,
    large_enough,
    moving_regions,
    raised_for_noise,
    residual_flow,
    sampled,
)
from stages.motion.tracking import Region, RegionTracker, Track, regions_of

_REMEMBERED_CELLS = 2
_CLOSED_SHARE = 0.024
"""Of the frame's width: how wide a plain surface between moving edges may be to count as moving with them."""
_MOST_REMEMBERED_BYTES = 24_000


@dataclass(frozen=True)
class Moving:
    """One confirmed moving object in one frame."""

    track: Track
    box: tuple[int, int, int, int]
    """x, y, width, height in px."""
    area_px: int


@dataclass(frozen=True)
class Detection:
    """What moves in one frame."""

    mask: np.ndarray
    """uint8 (H, W): 255 moves."""
    objects: tuple[Moving, ...]
    ended: OpenEvent | None
    began: OpenEvent | None


class MotionDetector:
    """Follows what moves by itself through a stream of flow, for frames of one size."""

    def __init__(
        self,
        width: int,
        height: int,
        thresholds: Thresholds,
        allowed: np.ndarray | None,
        tracker: RegionTracker,
        events: EventRecorder,
    ) -> None:
        """allowed: bool (H, W), where motion counts; None is everywhere."""
        self.width, self.height = width, height
        self._thresholds = thresholds
        self._allowed = allowed
        self._tracker = tracker
        self._events = events
        self._reach_px = _CLOSED_SHARE * width
        self._moving = np.zeros((0, 0), bool)

    def still(self, seconds: float) -> Detection:
        """A frame of which no motion is known: the first, or after a cut. What moved before is not followed into it."""
        self._tracker.tracks = []
        self._moving = np.zeros((0, 0), bool)
        ended, began = self._events.update(seconds, 0.0, (), seconds)
        return Detection(np.zeros((self.height, self.width), np.uint8), (), ended, began)

    def repeated(self, seconds: float, last: Detection | None) -> Detection:
        """A frame that repeats the one before: what moved there, moves here."""
        if last is None:
            return self._without_objects(seconds)
        area = float(np.count_nonzero(last.mask)) / last.mask.size
        ids = tuple(moving.track.id for moving in last.objects)
        ended, began = self._events.update(seconds, area, ids, seconds)
        return Detection(last.mask, last.objects, ended, began)

    def detect(
        self,
        flow_px: np.ndarray,
        camera: np.ndarray,
        noise_px: float,
        lumas: tuple[np.ndarray, np.ndarray] | None,
        seconds: float,
        step_seconds: float,
    ) -> Detection:
        """What moves, given the flow (h, w, 2) from the frame before, at every pixel or on the 1/8 grid.

        camera: (3, 3), px of the earlier to px of the later frame. noise_px: sigma of the flow along one axis.
        lumas: uint8 (H, W) of the earlier and the later frame; None where the earlier is not known any more. seconds:
        presentation time of the later frame.
        """
        flow = sampled(flow_px, self.width, self.height)
        thresholds = raised_for_noise(self._thresholds, noise_px, step_seconds)
        residual_px = residual_flow(flow, camera)
        speed_px_s = cv2.magnitude(residual_px[..., 0], residual_px[..., 1]) / np.float32(step_seconds)
        allowed = self._allowed_on(flow.x, flow.y)
        moving = moving_regions(speed_px_s, thresholds, allowed, self._remembered(speed_px_s))
        if lumas is not None and moving.any():
            moving = snapped(moving, supported(flow, camera, *lumas), self._reach_px / flow.step_px)
        moving, residual_px = carried_forward(flow, residual_px, moving)
        if allowed is not None:
            moving &= allowed
        moving = large_enough(moving, thresholds.min_area)
        regions, labels = regions_of(moving, residual_px / np.float32(step_seconds))
        self._tracker.px_per_cell = flow.step_px
        tracks = self._tracker.update(regions, seconds, step_seconds)
        self._moving = moving
        confirmed = np.array([False] + [track.confirmed for track in tracks])
        mask = full_size(confirmed[labels], flow, self.width, self.height)
        objects = tuple(
            self._object(region, track, flow.step_px, flow.first_px)
            for region, track in zip(regions, tracks, strict=True)
            if track.confirmed
        )
        return self._with_events(mask, objects, seconds)

    def state(self) -> dict[str, Any]:
        """JSON values, some kB."""
        packed = zlib.compress(np.packbits(self._moving).tobytes(), 6)
        shape = list(self._moving.shape) if len(packed) <= _MOST_REMEMBERED_BYTES else [0, 0]
        return {
            "size": [self.width, self.height],
            "tracker": self._tracker.state(),
            "moving": {"shape": shape, "bits": base64.b64encode(packed).decode("ascii") if shape[0] else ""},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self._tracker.restore(state["tracker"])
        rows, columns = state["moving"]["shape"]
        if rows:
            bits = np.frombuffer(zlib.decompress(base64.b64decode(state["moving"]["bits"])), np.uint8)
            self._moving = np.unpackbits(bits, count=rows * columns).astype(bool).reshape(rows, columns)

    def _with_events(self, mask: np.ndarray, objects: tuple[Moving, ...], seconds: float) -> Detection:
        area = float(np.count_nonzero(mask)) / mask.size
        ids = tuple(moving.track.id for moving in objects)
        since = min((moving.track.first_seconds for moving in objects), default=seconds)
        ended, began = self._events.update(seconds, area, ids, since)
        return Detection(mask, objects, ended, began)

    def _without_objects(self, seconds: float) -> Detection:
        return self._with_events(np.zeros((self.height, self.width), np.uint8), (), seconds)

    def _allowed_on(self, x: np.ndarray, y: np.ndarray) -> np.ndarray | None:
        if self._allowed is None:
            return None
        columns = np.minimum(np.rint(x).astype(np.intp), self.width - 1)
        return self._allowed[np.minimum(np.rint(y).astype(np.intp), self.height - 1)[:, None], columns]

    def _remembered(self, speed_px_s: np.ndarray) -> np.ndarray | None:
        """Where something moved a frame ago, and a little around it."""
        if self._moving.shape != speed_px_s.shape:
            return None
        size = 2 * _REMEMBERED_CELLS + 1
        return cv2.dilate(self._moving.astype(np.uint8), np.ones((size, size), np.uint8)).astype(bool)

    def _object(self, region: Region, track: Track, step_px: int, first_px: float) -> Moving:
        x, y, width, height = region.box
        edge = first_px - (step_px - 1) / 2
        left, top = max(0, round(x * step_px + edge)), max(0, round(y * step_px + edge))
        right = min(self.width, round((x + width) * step_px + edge))
        bottom = min(self.height, round((y + height) * step_px + edge))
        box = (left, top, max(1, right - left), max(1, bottom - top))
        return Moving(track, box, min(region.area * step_px**2, box[2] * box[3]))
