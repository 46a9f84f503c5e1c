"""Flow in, moving regions with ids and events out: the state between frames and the steps of one."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from stages.motion.camera.camera_motion import CameraMotion
from stages.motion.camera.working_grid import WorkingGrid
from stages.motion.masks.depth_layers import depth_layers
from stages.motion.masks.detection import Detection, Moving, Unproven
from stages.motion.masks.foreground import averaged, clearly_other, foreground
from stages.motion.masks.light import Dazzle
from stages.motion.masks.motion_events import EventRecorder, largest_place
from stages.motion.masks.regions import Region, regions_of
from stages.motion.masks.residual_motion import (
    CellMotion,
    Thresholds,
    cell_residual,
    moving_cells,
    on_points,
    raised_for_noise,
    seen_moving,
)
from stages.motion.masks.scene_model import SceneModel
from stages.motion.masks.tracking import RegionTracker, Track
from stages.motion.masks.velocity_filter import VelocityFilter

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
_RAYLEIGH_MEDIAN = 1.1774
_NOISE_OF_SWEEP = 0.01


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
        self._picture = self.grid.picture(planes)
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
        self._picture = self.grid.picture(planes)
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
        matrix = np.eye(3) if camera is None else camera.matrix
        residual_px = cell_residual(grid_px, matrix)
        noise_px = _noise_px(residual_px) if camera is None else camera.residual_px + _sweep_noise_px(grid_px)
        thresholds = raised_for_noise(self._thresholds, noise_px, step_seconds)
        on_grid = None if camera is None else self.grid.from_px @ matrix @ self.grid.to_px
        assert self._picture is not None, "detect() follows stands()"
        remembered = self._remembered(residual_px.shape[:2])
        if self._scene.began_anew:
            flows = moving_cells(grid_px, residual_px, thresholds, step_seconds, remembered, self.grid)
            self._scene.learn_first(on_points(flows.moving, self.grid))
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
        shown = self._seen_moving(cells, grid_px, on_grid, flowing & ~seen.known)
        changing = self._changing() if camera is None else None
        moves, unlike = foreground(evidence, seen.known, flowing, shown, changing)
        self._cells = cells.moving
        regions, labels = self._regions(moves, unlike if camera is None and not dazzled else None, cells)
        tracks = self._tracker.update(regions, seconds, step_seconds, on_grid)
        shows = np.array([self._shown(track, seconds) for track in tracks], bool)
        mask = np.append(False, shows)[labels]
        doubtful = flowing if scenery is None else flowing | on_points(scenery, self.grid)
        self._scene.learn(moves | mask, doubtful, step_seconds)
        objects = tuple(
            self._object(region, track, track.moved_seconds == seconds)
            for region, track, shown in zip(regions, tracks, shows, strict=True)
            if shown
        )
        unproven = tuple(
            Unproven(self._object(region, track, True), labels == label)
            for label, (region, track) in enumerate(zip(regions, tracks, strict=True), 1)
            if self._may_prove(track, seconds)
        )
        much = camera is not None and float(cells.moving.mean()) > _UNCERTAIN_SHARE
        uncertain = scenery is not None or much or not camera_known
        return self._with_events(mask, objects, seconds, uncertain, unproven)

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
    ) -> np.ndarray | None:
        """Of what flows, what two pictures show to have moved; None where the background tells it."""
        if self._before is None or self._picture is None:
            return None
        if np.count_nonzero(unknown) < _TOO_LITTLE_SHARE * unknown.size:
            return None
        lumas = (self._before[..., 0], self._picture[..., 0])
        return seen_moving(cells, grid_px, np.eye(3) if camera is None else camera, lumas, self.grid)

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
        regions = _with_velocities(regions, labels[cells.row, cells.column], cells.velocity_px_s)
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

    def _object(self, region: Region, track: Track, moves: bool) -> Moving:
        step, grid = self.grid.step_px, self.grid
        x, y, width, height = region.box
        right, bottom = min(grid.width, (x + width) * step), min(grid.height, (y + height) * step)
        return Moving(track, (x * step, y * step, right - x * step, bottom - y * step), region.area * step**2, moves)


def _noise_px(residual_px: np.ndarray) -> float:
    """Sigma along one axis of the flow where nothing moves, if that is most of the frame."""
    return float(np.median(cv2.magnitude(residual_px[..., 0], residual_px[..., 1]))) / _RAYLEIGH_MEDIAN


def _sweep_noise_px(grid_px: np.ndarray) -> float:
    """What the flow's sigma grows by where the picture sweeps past: it is blurred, and lenses and shutters bend it."""
    return _NOISE_OF_SWEEP * float(np.median(cv2.magnitude(grid_px[..., 0], grid_px[..., 1])))


def _with_velocities(regions: list[Region], labels: np.ndarray, velocity_px_s: np.ndarray) -> list[Region]:
    """The regions with the mean velocity of the cells that lie in each; those in which none lies do not flow.

    The faster of the cells count for more: those at the rim lie half on the background.
    """
    speed = np.hypot(velocity_px_s[:, 0], velocity_px_s[:, 1])
    sums = [np.bincount(labels, speed * part, len(regions) + 1) for part in (1.0, *velocity_px_s.T)]
    weight, u, v = sums[0], sums[1], sums[2]
    mean = np.stack([u, v], axis=1) / np.maximum(weight, 1e-9)[:, None]
    return [
        replace(region, velocity=(float(mean[at, 0]), float(mean[at, 1])), flows=bool(weight[at] > 0))
        for at, region in enumerate(regions, 1)
    ]
