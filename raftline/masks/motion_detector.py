"""Moving points to objects with ids and events, for the frames of one size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from raftline.camera.camera_motion import CameraMotion
from raftline.camera.working_grid import WorkingGrid
from raftline.masks.background import RegisteredBackground
from raftline.masks.detection import Detection, MovingObject, Tentative
from raftline.masks.frame_camera import FrameCamera, frame_camera
from raftline.masks.frame_input import FrameInput
from raftline.masks.light_patches import without_light
from raftline.masks.motion_events import EventRecorder, OpenEvent, largest_place
from raftline.masks.options import MotionMaskOptions
from raftline.masks.regions import Region, regions_of, with_velocities
from raftline.masks.residual_motion import carried_back
from raftline.masks.segmentation import MotionSegmenter, Segmentation
from raftline.masks.small_regions import SMALL_SHARE, SmallRegions
from raftline.masks.tracking import RegionTracker, Track
from raftline.state_trees import from_tree, tree_of

_MEMORY_SECONDS = 10.0
"""Time constant of the background. Chosen by hand; `python -m benchmarks.bench_motion_masks` shows its effect."""
_OWN_MOTION_SECONDS = 0.2
"""What moved for less than this and stands is the place that something left, not an object that stopped. The default
of `persistence_seconds`."""
_UNCERTAIN_SHARE = 0.35
"""Of the flow grid: where more moves, the camera's fit may have followed the wrong part. Chosen by hand, below the half
that a robust fit bears; `python -m benchmarks.bench_motion_masks` shows its effect."""
_APART_SHARE = 0.016
"""Of the width: parts nearer to each other than this are one object. Chosen by hand;
`python -m benchmarks.bench_motion_masks` shows its effect."""


class MotionDetector:
    """Detects what moves, frame after frame. It owns all state that depends on the frame's size."""

    def __init__(self, options: MotionMaskOptions, grid: WorkingGrid, events: EventRecorder) -> None:
        """Begin with nothing known.

        Args:
            options: What counts.
            grid: Of the frames' size.
            events: Outlives the detector: an event goes on in frames of another size.
        """
        self.grid = grid
        self._options = options
        self._thresholds = options.thresholds(grid)
        self._allowed = options.allowed(grid)
        self._velocities = options.velocity_filter()
        self._events = events
        self._background = RegisteredBackground(*grid.shape, _MEMORY_SECONDS, shadows_out=not options.shadows)
        self._segmenter = MotionSegmenter(grid, self._thresholds, self._background, options.stopped_seconds)
        trackers = (
            RegionTracker(options.persistence_seconds, options.hold_seconds, grid.step_px, self._thresholds.low_px_s)
            for _ in range(2)
        )
        self._tracker, self._small = next(trackers), SmallRegions(next(trackers))
        self._previous: np.ndarray | None = None
        """`FrameInput.image` of the last frame that was no duplicate."""
        self._rested_in: FrameInput | None = None
        """The last frame, if nothing changed in it: its image is rarely asked for."""
        self._empty = True
        """Nothing in the last frame could have been an object."""
        self._last: Detection | None = None

    @property
    def tracks(self) -> Sequence[Track]:
        """What is followed."""
        return self._tracker.tracks

    def confirmation_seconds(self, step_seconds: float) -> float:
        """For how long an object has to be seen moving until it counts."""
        return self._tracker.needed_seconds(step_seconds)

    def step(self, frame: FrameInput) -> Detection:
        """Detect what moves in the next frame."""
        if frame.grid_px is None:
            found = self._first(frame)
        elif frame.duplicate:
            found = self._repeated(frame)
        elif frame.still and self._empty and self._background.fixed:
            found = self._rested(frame)
        else:
            found = self._moved(frame)
        self._last = found
        return found

    def gap(self) -> None:
        """Frames are missing: a duplicate has nothing to repeat."""
        self._last = None

    def state(self) -> dict[str, Any]:
        """JSON values, some kB. The background is not among them: it is learned again."""
        size = [self.grid.width, self.grid.height]
        tracked = {"tracker": self._tracker.state(), "small": self._small.state()}
        return {"size": size, **tracked, "cells": self._segmenter.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self._tracker.restore(state["tracker"])
        self._small.restore(state["small"])
        self._segmenter.restore(state["cells"])

    def full_state(self) -> dict[str, Any]:
        """All of it but the events, as JSON values and arrays, which are no copies."""
        return {
            "size": [self.grid.width, self.grid.height],
            "tracker": self._tracker.state(),
            "small": self._small.state(),
            "segmenter": self._segmenter.full_state(),
            "background": self._background.full_state(),
            "previous": self._previous if self._rested_in is None else self._rested_in.image,
            "empty": self._empty,
            "last": tree_of(self._last),
        }

    def restore_full(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where `full_state` was taken."""
        self._tracker.restore(state["tracker"])
        self._small.restore(state["small"])
        self._segmenter.restore_full(state["segmenter"])
        self._background.restore_full(state["background"])
        self._previous, self._empty = state["previous"], state["empty"]
        self._last = from_tree(Detection | None, state["last"])

    @property
    def background(self) -> RegisteredBackground:
        """What was learned of the scene."""
        return self._background

    def _first(self, frame: FrameInput) -> Detection:
        """The first frame of a run. What moved before is not followed into it."""
        self._tracker.tracks = []
        self._small.forget()
        self._segmenter.begin_run()
        self._background.begin_anew(frame.image)
        self._previous, self._rested_in, self._empty = frame.image, None, True
        return self._detection(frame, np.zeros(self.grid.shape, bool), (), None)

    def _repeated(self, frame: FrameInput) -> Detection:
        """A frame that repeats the one before: what moved there, moves here, but not for ever.

        A stream shows some frames twice or more; where nothing changes for longer than an object may be out of sight,
        what moved has stopped.
        """
        camera = CameraMotion.still()
        last = self._last
        if last is None:
            return self._detection(frame, np.zeros(self.grid.shape, bool), (), camera)
        if last.objects:
            stands_seconds = frame.seconds - last.objects[0].track.last_seconds - self._options.hold_seconds
            if stands_seconds > self._options.stopped_seconds:
                return self._detection(frame, np.zeros(self.grid.shape, bool), (), camera)
            if stands_seconds > 0:
                last = replace(last, objects=tuple(replace(found, moves=False) for found in last.objects), tentative=())
        ended, began = self._event(frame, last.objects, last.uncertain, frame.seconds)
        return replace(last, ended=ended, began=began, camera=camera)

    def _rested(self, frame: FrameInput) -> Detection:
        """A frame in which nothing changed, after one without objects: there is none to find, and none to follow."""
        self._rested_in = frame.kept()
        self._segmenter.rest(frame)
        return self._detection(frame, np.zeros(self.grid.shape, bool), (), CameraMotion.still())

    def _moved(self, frame: FrameInput) -> Detection:
        """A frame with flow from the one before."""
        on_background = self._background.stands(frame.image, frame.step_seconds)
        camera = frame_camera(frame, on_background and self._background.fixed, self._options)
        previous = self._previous if self._rested_in is None else self._rested_in.image
        segmentation = self._segmenter.segment(frame, camera, previous)
        regions, labels, small = self._regions(segmentation)
        if not self._options.shadows:
            regions, labels = without_light(regions, labels, self._background.lumas)
        self._previous, self._rested_in, self._empty = frame.image, None, not regions
        on_grid = camera.on_grid(self.grid)
        tracks = self._tracker.update(regions, frame.seconds, frame.step_seconds, on_grid)
        too_small = self._small.update(small, regions, frame.seconds, frame.step_seconds, on_grid)
        shown = [self._shows(track, frame.seconds) for track in tracks]
        tentative = [self._may_be_confirmed(track, frame.seconds) for track in tracks]
        mask = _drawn(regions, labels, shown)
        self._segmenter.shown(mask, frame.step_seconds)
        self._background.learn(segmentation.unlearned | mask, segmentation.doubtful, frame.step_seconds)
        objects = tuple(
            self._object(region.box, region.area, track, track.moved_seconds == frame.seconds)
            for region, track, shows in zip(regions, tracks, shown, strict=True)
            if shows
        )
        uncertain = self._uncertain(segmentation, camera)
        either = [shows or may for shows, may in zip(shown, tentative, strict=True)]
        return replace(
            self._detection(frame, mask, objects, camera.motion, uncertain),
            tentative=self._apart(labels, tracks, tentative),
            tentative_before=self._in_first(segmentation, labels, tracks, either),
            regions_too_small=too_small,
        )

    def _uncertain(self, segmentation: Segmentation, camera: FrameCamera) -> bool:
        much = not camera.stands and float(segmentation.cells.moving.mean()) > _UNCERTAIN_SHARE
        return segmentation.layers or much or not camera.known

    def _regions(self, segmentation: Segmentation) -> tuple[list[Region], np.ndarray, list[Region]]:
        """What may be an object, with labels int32 (h, w): what flows, and what merely looks unlike the background.

        And what would be one, were it not too small.
        """
        moves, cells = self._within_zones(segmentation.moves), segmentation.cells
        least_area = self._thresholds.min_area * moves.size
        apart, small_area = round(_APART_SHARE * moves.shape[1]), SMALL_SHARE * least_area
        flowing, labels, small = regions_of(moves, least_area, flows=True, apart=apart, small_area=small_area)
        flowing = with_velocities(flowing, labels[cells.row, cells.column], cells.velocity_px_s)
        if segmentation.unlike is None or not segmentation.unlike.any():
            return flowing, labels, small
        unlike = self._within_zones(segmentation.unlike).astype(np.uint8)
        opened = cv2.morphologyEx(unlike, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        others, more, small_others = regions_of(opened > 0, least_area, flows=False, small_area=small_area)
        together = np.where(more > 0, more + len(flowing), labels) if others else labels
        return flowing + others, together, small + small_others

    def _within_zones(self, points: np.ndarray) -> np.ndarray:
        return points if self._allowed is None else points & self._allowed

    def _shows(self, track: Track, seconds: float) -> bool:
        """Whether it counts. What merely split from something that moved, and stands, is what that left behind."""
        stands_seconds = seconds - track.moved_seconds
        moves_or_stopped = stands_seconds <= 0 or (
            stands_seconds <= self._options.stopped_seconds and track.seen_seconds >= _OWN_MOTION_SECONDS
        )
        return track.confirmed and moves_or_stopped and self._velocities.accepts(track.velocity)

    def _may_be_confirmed(self, track: Track, seconds: float) -> bool:
        """Whether it moves and would count, were it confirmed."""
        return not track.confirmed and track.moved_seconds == seconds and self._velocities.accepts(track.velocity)

    def _apart(self, labels: np.ndarray, tracks: Sequence[Track], wanted: Sequence[bool]) -> tuple[Tentative, ...]:
        """The wanted tracks, each where `labels` (h, w) hold its number in order, from 1."""
        found = []
        for label, (track, wants) in enumerate(zip(tracks, wanted, strict=True), 1):
            points = labels == label if wants else np.zeros(0, bool)
            if points.any():
                box = tuple(cv2.boundingRect(points.view(np.uint8)))
                found.append(Tentative(self._object(box, int(np.count_nonzero(points)), track, True), points))
        return tuple(found)

    def _in_first(
        self, segmentation: Segmentation, labels: np.ndarray, tracks: Sequence[Track], wanted: Sequence[bool]
    ) -> tuple[Tentative, ...]:
        """The wanted tracks where they were in the frame before, if that was the first of a run."""
        if segmentation.in_first is None:
            return ()
        return self._apart(carried_back(*segmentation.in_first, labels), tracks, wanted)

    def _detection(
        self,
        frame: FrameInput,
        mask: np.ndarray,
        objects: tuple[MovingObject, ...],
        camera: CameraMotion | None,
        uncertain: bool = False,
    ) -> Detection:
        """The frame's detection; its objects begin an event or go on with the open one. mask: bool (h, w)."""
        since_seconds = min((found.track.since_seconds for found in objects if found.moves), default=frame.seconds)
        ended, began = self._event(frame, objects, uncertain, since_seconds)
        return Detection(self.grid.full_size(mask), objects, ended, began, camera, uncertain)

    def _event(
        self, frame: FrameInput, objects: Sequence[MovingObject], uncertain: bool, since_seconds: float
    ) -> tuple[OpenEvent | None, OpenEvent | None]:
        """The event that ended, and the one that began; what stands has no part in either."""
        moving = [found for found in objects if found.moves]
        area = sum(found.area_px for found in moving) / (self.grid.width * self.grid.height)
        ids = tuple(found.id for found in moving)
        waiting_since = self._tracker.waiting_since(frame.seconds)
        place = largest_place(moving)
        return self._events.update(frame.seconds, area, ids, since_seconds, place, uncertain, waiting_since)

    def _object(self, box: tuple[int, ...], area: int, track: Track, moves: bool) -> MovingObject:
        """box, area: in points of the working grid."""
        step, grid = self.grid.step_px, self.grid
        x, y, width, height = box
        right, bottom = min(grid.width, (x + width) * step), min(grid.height, (y + height) * step)
        return MovingObject(track, (x * step, y * step, right - x * step, bottom - y * step), area * step**2, moves)


def _drawn(regions: Sequence[Region], labels: np.ndarray, shown: Sequence[bool]) -> np.ndarray:
    """bool (h, w): the regions that are shown, of which `labels` (h, w) hold the numbers in order, from 1."""
    mask = np.zeros(labels.shape, bool)
    for label, (region, shows) in enumerate(zip(regions, shown, strict=True), 1):
        if shows:
            x, y, width, height = region.box
            place = (slice(y, y + height), slice(x, x + width))
            mask[place] |= labels[place] == label
    return mask
