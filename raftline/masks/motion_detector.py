"""Flow in, moving regions with ids and events out: the state between frames and the steps of one."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import cv2
import numpy as np

from raftline.camera.camera_motion import CameraMotion
from raftline.camera.working_grid import WorkingGrid
from raftline.masks.background import SceneModel
from raftline.masks.depth_layers import depth_layers
from raftline.masks.detection import Detection, Moving, Unproven
from raftline.masks.foreground import averaged, clearly_other, foreground
from raftline.masks.illumination import Dazzle
from raftline.masks.motion_events import EventRecorder, largest_place
from raftline.masks.regions import Region, regions_of, with_velocities
from raftline.masks.residual_motion import (
    CellMotion,
    Thresholds,
    carried_back,
    carried_forward,
    cell_residual,
    flow_noise_px,
    moving_cells,
    on_points,
    raised_for_noise,
    seen_moving,
    sweep_noise_px,
)
from raftline.masks.tracking import RegionTracker, Track
from raftline.masks.velocity_filter import VelocityFilter

_REMEMBERED_CELLS = 1
_MEMORY_SECONDS = 10.0
_TOO_LITTLE_SHARE = 0.0005
_CHANGED = 5
"""Grey levels, of means over 3x3 points: 7 sigma of a noise of 2."""
_OWN_MOTION_SECONDS = 0.2
_CLEAR_SECONDS = 0.6
_UNCERTAIN_SHARE = 0.35
_APART_SHARE = 0.016
"""Of the width: parts that are nearer to each other are one object."""


class _Motion(NamedTuple):
    """What a frame shows before it is told apart into objects; masks are bool (h, w) on the working grid."""

    cells: CellMotion
    moves: np.ndarray
    unlike: np.ndarray | None
    """What else looks unlike the background, under a camera that stands."""
    doubtful: np.ndarray
    """What may move, and is not learned where there is a choice."""
    layers: bool
    """Scenery at another depth was left out."""
    in_first: tuple[np.ndarray, np.ndarray] | None
    """What moves in the frame before, where that is a first one, and its flow (h, w, 2) in points."""


class MotionDetector:
    """Follows what moves by itself through a stream of flow, for frames of one size."""

    def __init__(
        self,
        grid: WorkingGrid,
        thresholds: Thresholds,
        allowed: np.ndarray | None,
        tracker: RegionTracker,
        events: EventRecorder,
        stopped_seconds: float,
        shadows_out: bool,
        velocities: VelocityFilter,
    ) -> None:
        """allowed: bool (h, w) on the grid, where motion counts; None is everywhere."""
        self._velocities = velocities
        self.grid = grid
        self._thresholds = thresholds
        self._allowed = allowed
        self._tracker = tracker
        self._events = events
        self._stopped_seconds = stopped_seconds
        self._scene = SceneModel(*grid.shape, _MEMORY_SECONDS, shadows_out)
        self._cells = np.zeros((0, 0), bool)
        self._other_seconds = np.zeros(grid.shape, np.float32)
        """For how long each point has looked unlike the background."""
        self._picture: np.ndarray | None = None
        self._before: np.ndarray | None = None
        self._dazzle = Dazzle()

    def still(self, planes: Sequence[np.ndarray], seconds: float) -> Detection:
        """A frame of which no motion is known: the first, or after a cut. What moved before is not followed into it."""
        self._tracker.tracks = []
        self._cells = np.zeros((0, 0), bool)
        self._other_seconds[:] = 0.0
        self._picture = self.grid.image(planes)
        self._scene.begin_anew(self._picture)
        ended, began = self._events.update(seconds, 0.0, (), seconds)
        return Detection(self.grid.full_size(np.zeros(self.grid.shape, bool)), (), ended, began)

    def repeated(self, seconds: float, last: Detection | None) -> Detection:
        """A frame that repeats the one before: what moved there, moves here."""
        if last is None:
            return self._with_events(np.zeros(self.grid.shape, bool), (), seconds)
        area = float(np.count_nonzero(last.mask)) / last.mask.size
        ids = tuple(moving.track.id for moving in last.objects)
        ended, began = self._events.update(seconds, area if ids else 0.0, ids, seconds, uncertain=last.uncertain)
        return replace(last, ended=ended, began=began)

    def stands(self, planes: Sequence[np.ndarray], step_seconds: float) -> bool:
        """Whether the camera is seen to stand, without regard to the flow. Call it once a frame, before `detect`."""
        self._before = self._picture
        self._picture = self.grid.image(planes)
        return self._scene.stands(self._picture, step_seconds)

    @property
    def fixed(self) -> bool:
        """The camera has been standing for a while."""
        return self._scene.fixed

    @property
    def tracks(self) -> Sequence[Track]:
        """What is followed."""
        return self._tracker.tracks

    def detect(
        self,
        grid_px: np.ndarray,
        camera: CameraMotion | None,
        seconds: float,
        step_seconds: float,
        camera_known: bool = True,
    ) -> Detection:
        """What moves in the frame given to `stands`, with the flow (ceil(H/8), ceil(W/8), 2) px from the one before.

        camera: None where it stands, and where nothing is known of it (`camera_known`). seconds: presentation time of
        the later frame.
        """
        found = self._motion(grid_px, camera, seconds, step_seconds)
        on_grid = None if camera is None else self._on_grid(camera)
        regions, labels = self._regions(found.moves, found.unlike, found.cells)
        tracks = self._tracker.update(regions, seconds, step_seconds, on_grid)
        shows = [self._shown(track, seconds) for track in tracks]
        hopes = [self._may_prove(track, seconds) for track in tracks]
        mask = np.array([False, *shows], bool)[labels]
        self._scene.learn(found.moves | mask, found.doubtful, step_seconds)
        objects = tuple(
            self._object(region.box, region.area, track, track.moved_seconds == seconds)
            for region, track, show in zip(regions, tracks, shows, strict=True)
            if show
        )
        before: tuple[Unproven, ...] = ()
        if found.in_first is not None:
            either = [show or hope for show, hope in zip(shows, hopes, strict=True)]
            before = self._apart(carried_back(*found.in_first, labels), tracks, either)
        much = camera is not None and float(found.cells.moving.mean()) > _UNCERTAIN_SHARE
        uncertain = found.layers or much or not camera_known
        unproven = self._apart(labels, tracks, hopes)
        return replace(self._with_events(mask, objects, seconds, uncertain, unproven), before=before)

    def _motion(self, grid_px: np.ndarray, camera: CameraMotion | None, seconds: float, step_seconds: float) -> _Motion:
        matrix = np.eye(3) if camera is None else camera.matrix
        residual_px = cell_residual(grid_px, matrix)
        noise_px = flow_noise_px(residual_px) if camera is None else camera.residual_px + sweep_noise_px(grid_px)
        thresholds = raised_for_noise(self._thresholds, noise_px, step_seconds)
        remembered = self._remembered(residual_px.shape[:2])
        after_first = self._scene.began_anew
        if after_first:
            flows = moving_cells(grid_px, residual_px, thresholds, step_seconds, remembered, self.grid)
            self._scene.learn_first(on_points(flows.moving, self.grid))
        assert self._picture is not None, "detect() follows stands()"
        on_grid = None if camera is None else self._on_grid(camera)
        seen = self._scene.look(self._picture, on_grid)
        evidence = averaged(seen.evidence)
        clear = self._clear(evidence if camera is None else None, step_seconds)
        cells = moving_cells(grid_px, residual_px, thresholds, step_seconds, remembered, self.grid, clear)
        scenery = None if camera is None else self._scenery(grid_px, residual_px, cells)
        if scenery is not None:
            residual_px = np.where(scenery[..., None], np.float32(0), residual_px)
            cells = moving_cells(grid_px, residual_px, thresholds, step_seconds, remembered, self.grid)
            # It was learned where the camera's plane would have it.
            seen.known[on_points(scenery, self.grid)] = False
        dazzled = self._dazzle.lasts(seen.light_levels, seconds, step_seconds)
        flowing = np.zeros(self.grid.shape, bool) if dazzled else cells.drawn(self.grid)
        earlier = self._seen_moving(cells, grid_px, on_grid, flowing & ~seen.known)
        shown = None if earlier is None else carried_forward(*earlier)
        changing = self._changing() if camera is None else None
        moves, unlike = foreground(evidence, seen.known, flowing, shown, changing)
        self._cells = cells.moving
        doubtful = flowing if scenery is None else flowing | on_points(scenery, self.grid)
        told = unlike if camera is None and not dazzled else None
        return _Motion(cells, moves, told, doubtful, scenery is not None, earlier if after_first else None)

    def _on_grid(self, camera: CameraMotion) -> np.ndarray:
        return self.grid.from_px @ camera.matrix @ self.grid.to_px

    def proof_seconds(self, step_seconds: float) -> float:
        """For how long something has to move to count."""
        return self._tracker.needed_seconds(step_seconds)

    def state(self) -> dict[str, Any]:
        """JSON values, some kB. The background is not among them: it is learned again."""
        packed = zlib.compress(np.packbits(self._cells).tobytes(), 6)
        cells = {"shape": list(self._cells.shape), "bits": base64.b64encode(packed).decode("ascii")}
        return {"size": [self.grid.width, self.grid.height], "tracker": self._tracker.state(), "cells": cells}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self._tracker.restore(state["tracker"])
        rows, columns = state["cells"]["shape"]
        bits = np.frombuffer(zlib.decompress(base64.b64decode(state["cells"]["bits"])), np.uint8)
        self._cells = np.unpackbits(bits, count=rows * columns).astype(bool).reshape(rows, columns)

    def _seen_moving(
        self, cells: CellMotion, grid_px: np.ndarray, camera: np.ndarray | None, unknown: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Of what flows, what two pictures show to have moved, and its flow; None where the background tells it."""
        if self._before is None or self._picture is None:
            return None
        if np.count_nonzero(unknown) < _TOO_LITTLE_SHARE * unknown.size:
            return None
        lumas = (self._before[..., 0], self._picture[..., 0])
        return seen_moving(cells, grid_px, np.eye(3) if camera is None else camera, lumas, self.grid)

    def _apart(self, labels: np.ndarray, tracks: Sequence[Track], wanted: Sequence[bool]) -> tuple[Unproven, ...]:
        """Of the tracks those that are wanted, each where its number in order, from 1, stands in `labels` (h, w)."""
        found = []
        numbered = enumerate(zip(tracks, wanted, strict=True), 1)
        for label, track in [(label, track) for label, (track, wants) in numbered if wants]:
            points = labels == label
            if points.any():
                box = cv2.boundingRect(points.view(np.uint8))
                found.append(Unproven(self._object(tuple(box), int(np.count_nonzero(points)), track, True), points))
        return tuple(found)

    def _scenery(self, grid_px: np.ndarray, residual_px: np.ndarray, cells: CellMotion) -> np.ndarray | None:
        """bool cells of the 1/8 grid that are at another depth; None where there are none."""
        layers = depth_layers(grid_px, residual_px, cells.moving, self.grid.width, self.grid.height)
        return layers if layers.any() else None

    def _clear(self, evidence: np.ndarray | None, step_seconds: float) -> np.ndarray | None:
        """bool (h, w): what has looked unlike the background for a while; leaves that sway come and go."""
        if evidence is None:
            self._other_seconds[:] = 0.0
            return None
        self._other_seconds = (self._other_seconds + np.float32(step_seconds)) * clearly_other(evidence)
        return self._other_seconds >= _CLEAR_SECONDS

    def _changing(self) -> np.ndarray | None:
        """bool (h, w): where the picture is not that of the frame before."""
        if self._before is None or self._picture is None:
            return None
        return cv2.absdiff(cv2.blur(self._picture[..., 0], (3, 3)), cv2.blur(self._before[..., 0], (3, 3))) > _CHANGED

    def _regions(
        self, moves: np.ndarray, unlike: np.ndarray | None, cells: CellMotion
    ) -> tuple[list[Region], np.ndarray]:
        """What may be an object, with labels: what flows, and, under a fixed camera, what is unlike the background."""
        least_area, apart = self._thresholds.min_area * moves.size, round(_APART_SHARE * moves.shape[1])
        if self._allowed is not None:
            moves = moves & self._allowed
        regions, labels = regions_of(moves, least_area, flows=True, apart=apart)
        regions = with_velocities(regions, labels[cells.row, cells.column], cells.velocity_px_s)
        if unlike is None or not unlike.any():
            return regions, labels
        if self._allowed is not None:
            unlike = unlike & self._allowed
        opened = cv2.morphologyEx(unlike.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        others, more = regions_of(opened > 0, least_area, flows=False)
        return regions + others, np.where(more > 0, more + len(regions), labels)

    def _shown(self, track: Track, seconds: float) -> bool:
        """Whether it counts. What merely split from something that moved, and stands, is what that left behind."""
        if not track.confirmed or not self._velocities.accepts(track.velocity):
            return False
        stands_seconds = seconds - track.moved_seconds
        return stands_seconds <= 0 or (
            stands_seconds <= self._stopped_seconds and track.seen_seconds >= _OWN_MOTION_SECONDS
        )

    def _may_prove(self, track: Track, seconds: float) -> bool:
        """Whether it moves and would count, had it been followed for long enough."""
        return not track.confirmed and track.moved_seconds == seconds and self._velocities.accepts(track.velocity)

    def _with_events(
        self,
        mask: np.ndarray,
        objects: tuple[Moving, ...],
        seconds: float,
        uncertain: bool = False,
        unproven: tuple[Unproven, ...] = (),
    ) -> Detection:
        moving = [found for found in objects if found.moves]
        area = sum(found.area_px for found in moving) / (self.grid.width * self.grid.height)
        ids = tuple(found.track.id for found in moving)
        since = min((found.track.first_seconds for found in moving), default=seconds)
        ended, began = self._events.update(seconds, area, ids, since, largest_place(moving), uncertain)
        return Detection(self.grid.full_size(mask), objects, ended, began, uncertain, unproven)

    def _remembered(self, shape: tuple[int, ...]) -> np.ndarray | None:
        """Where something moved a frame ago, and a little around it."""
        if self._cells.shape != shape:
            return None
        size = 2 * _REMEMBERED_CELLS + 1
        return cv2.dilate(self._cells.astype(np.uint8), np.ones((size, size), np.uint8)).astype(bool)

    def _object(self, box: tuple[int, ...], area: int, track: Track, moves: bool) -> Moving:
        step, grid = self.grid.step_px, self.grid
        x, y, width, height = box
        right, bottom = min(grid.width, (x + width) * step), min(grid.height, (y + height) * step)
        return Moving(track, (x * step, y * step, right - x * step, bottom - y * step), area * step**2, moves)
