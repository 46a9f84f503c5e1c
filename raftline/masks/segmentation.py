"""Which points of a frame move: flow finds them, and the background draws their outlines."""

from __future__ import annotations

import base64
import functools
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from raftline.camera.working_grid import WorkingGrid
from raftline.kernels.cell import CELL_PX
from raftline.masks.background import AgainstBackground, RegisteredBackground
from raftline.masks.depth_layers import depth_layers
from raftline.masks.foreground import averaged, changing_points, clearly_other, foreground, grown, trimmed
from raftline.masks.frame_camera import FrameCamera
from raftline.masks.frame_input import FrameInput
from raftline.masks.illumination import ExposureTransient, relit
from raftline.masks.motion_in_place import MotionInPlace
from raftline.masks.parallax_scenery import DepthShown, parallax_scenery, shows_depth
from raftline.masks.refinement import Evidence, refined
from raftline.masks.residual_motion import (
    CellMotion,
    Thresholds,
    carried_forward,
    cell_residual,
    flow_noise_px,
    moving_cells,
    on_points,
    raised_for_noise,
    seen_moving,
    sweep_noise_px,
)
from raftline.masks.stopped_objects import StoppedObjects

_REMEMBERED_CELLS = 1
"""How far around what moved a frame ago the lower speed threshold is enough, in cells: what an object moves by in a
frame, as a rule."""
_TOO_LITTLE_SHARE = 0.0005
"""Of the frame: where less flows over unknown background, comparing the two images is not worth its time. It is less
than the default `min_area`."""
_WIDELY_SHARE = 0.12
"""Of the frame: where more of it changes from frame to frame, it may be the light. As much as no curve explains in
`illumination`."""
_LIGHT_EVERY = 4
"""One point in this many along each axis is enough to tell how the light changed."""
_CLEAR_SECONDS = 0.6
"""For so long something has to look unlike the background for slow flow on it to be believed: leaves that sway come
and go faster. Chosen by hand; `python -m benchmarks.bench_motion_masks` shows its effect."""

_LEARN_SECONDS, _LEARN_SELDOM_SECONDS = 0.2, 1.0
"""While nothing changes, one frame in so much time is learned; less often once that was so for `_LEARNED_SECONDS`.
Where somebody passes after such a rest, masks with 1.0 s agree with those with 0.5 s to a J of 0.9999."""
_LEARNED_SECONDS = 10.0
"""The time constant of the background."""


@dataclass(frozen=True)
class Segmentation:
    """What of a frame moves, before it is told apart into objects. Masks are bool (h, w) on the working grid."""

    cells: CellMotion
    """The moving cells of the flow grid."""
    moves: np.ndarray
    """What moves."""
    unlike: np.ndarray | None
    """What else looks unlike the background; None under a camera that moves, and while the exposure settles."""
    doubtful: np.ndarray
    """What may move: the background learns it only where it knows nothing better."""
    unlearned: np.ndarray
    """What the background does not learn: what moves, and what was taken to before its outline was drawn."""
    layers: bool
    """Scenery at another depth was left out."""
    in_first: tuple[np.ndarray, np.ndarray] | None
    """If the frame before was the first of a run: what moves in it, and its flow (h, w, 2) in points."""


@dataclass(frozen=True)
class _FlowMotion:
    """What the flow says, checked against the background."""

    cells: CellMotion
    seen: AgainstBackground
    distance: np.ndarray
    """uint8 (h, w): `AgainstBackground.mahalanobis`, averaged."""
    scenery: np.ndarray | None
    """bool cells at another depth; None: there are none."""
    in_place: np.ndarray | None
    """bool cells that move all the time and go nowhere; None: there are none."""


class MotionSegmenter:
    """Tells moving points from the rest, for the frames of one size."""

    def __init__(
        self, grid: WorkingGrid, thresholds: Thresholds, background: RegisteredBackground, stopped_seconds: float
    ) -> None:
        self._grid = grid
        self._thresholds = thresholds
        self._background = background
        self._cells = np.zeros((0, 0), bool)
        """The cells that moved a frame ago."""
        self._unlike_seconds = np.zeros(grid.shape, np.float32)
        """For how long each point has looked unlike the background."""
        self._exposure = ExposureTransient()
        self._in_place, self._depth = MotionInPlace(), DepthShown()
        self._stopped = StoppedObjects(grid, stopped_seconds)
        self._goes_on: np.ndarray | None = None
        """Of the frame, what moves in it; None: the camera stands."""
        self._unlearned_seconds = 0.0
        """Of the frames in which nothing changed, those not learned yet."""
        self._rested_seconds = 0.0
        """Of all such frames since the last in which something did."""

    def begin_run(self) -> None:
        """Forget what moved: the next frame does not follow from the last one."""
        self._cells, self._depth = np.zeros((0, 0), bool), DepthShown()
        self._unlike_seconds[:] = 0.0
        self._in_place.forget()
        self._stopped.forget()

    def segment(self, frame: FrameInput, camera: FrameCamera, previous: np.ndarray | None) -> Segmentation:
        """Find what moves in a frame, and place the frame on the background.

        Args:
            frame: With flow.
            camera: The camera between the two frames.
            previous: uint8 (h, w, 3), `FrameInput.image` of the frame before.
        """
        self._rested_seconds = 0.0
        after_first = self._background.began_anew
        flow = self._flow_motion(frame, camera)
        self._cells = flow.cells.moving
        settling = self._exposure.settles(flow.seen.illumination_levels, frame.seconds, frame.step_seconds)
        flowing = np.zeros(self._grid.shape, bool) if settling else flow.cells.drawn(self._grid)
        changing = changing_points(previous, frame.image) if camera.stands and flowing.any() else None
        if previous is not None and changing is not None and self._relit_around(frame, changing):
            flowing &= self._explaining(flow.cells, frame, previous)
        pair = self._pair_motion(frame, camera, previous, flow.cells, flowing & ~flow.seen.known)
        moved_here = None if pair is None else carried_forward(*pair)
        moves, unlike = foreground(flow.distance, flow.seen.known, flowing, moved_here, changing)
        if flow.in_place is not None:
            unlike &= ~grown(on_points(flow.in_place, self._grid), CELL_PX / self._grid.step_px)
        moves = trimmed(moves, flow.seen.mahalanobis, flow.seen.known) if camera.stands else moves
        self._goes_on = None if camera.stands else moves
        outlined = moves if camera.stands else self._outlined(self._with_stopped(moves, frame), frame, flow, flowing)
        return Segmentation(
            flow.cells,
            outlined,
            unlike if camera.stands and not settling else None,
            flowing if flow.scenery is None else flowing | on_points(flow.scenery, self._grid),
            outlined if self._depth.mostly else outlined | moves,
            flow.scenery is not None,
            pair if after_first else None,
        )

    def shown(self, mask: np.ndarray, step_seconds: float) -> None:
        """Take what of the frame is shown in the end, bool (h, w): it stays for a while when it stops."""
        if self._goes_on is None:
            self._stopped.forget()
        else:
            self._stopped.take(mask, self._goes_on, step_seconds)

    def _with_stopped(self, moves: np.ndarray, frame: FrameInput) -> np.ndarray:
        """What moves, and what stopped lately, under a camera that moves. bool (h, w)."""
        stopped = self._stopped.found(moves, frame.flow, frame.step_seconds)
        return moves if stopped is None else moves | stopped

    def _outlined(self, moves: np.ndarray, frame: FrameInput, flow: _FlowMotion, flowing: np.ndarray) -> np.ndarray:
        """What moves, its outlines drawn by color. bool (h, w)."""
        evidence = Evidence(frame.image, flow.distance, flow.seen.known, flowing)
        return refined(moves, evidence, trusted=not self._depth.mostly) if moves.any() else moves

    def rest(self, frame: FrameInput) -> None:
        """Take a frame in which nothing changed but noise; now and then the background learns one for all of them."""
        self._cells = np.zeros(frame.flow.shape[:2], bool)
        self._exposure.settles(0.0, frame.seconds, frame.step_seconds)
        self._unlearned_seconds += frame.step_seconds
        self._rested_seconds += frame.step_seconds
        often = self._rested_seconds < _LEARNED_SECONDS
        if self._unlearned_seconds >= (_LEARN_SECONDS if often else _LEARN_SELDOM_SECONDS):
            self._background.learn_still(frame.image, self._unlearned_seconds)
            self._unlearned_seconds = 0.0

    def state(self) -> dict[str, Any]:
        """JSON values."""
        return {"shape": list(self._cells.shape), "bits": _text(np.packbits(self._cells).tobytes())}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        rows, columns = state["shape"]
        bits = np.frombuffer(zlib.decompress(base64.b64decode(state["bits"])), np.uint8)
        self._cells = np.unpackbits(bits, count=rows * columns).astype(bool).reshape(rows, columns)

    def full_state(self) -> dict[str, Any]:
        """All but the background, as JSON values and arrays."""
        return {
            "cells": self._cells,
            "unlike_seconds": self._unlike_seconds,
            "exposure": self._exposure.full_state(),
            "in_place": self._in_place.full_state(),
            "depth": self._depth.full_state(),
            "stopped": self._stopped.full_state(),
            "rested": [self._unlearned_seconds, self._rested_seconds],
        }

    def restore_full(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where `full_state` was taken."""
        self._cells, self._unlike_seconds = state["cells"], state["unlike_seconds"]
        self._exposure.restore_full(state["exposure"])
        self._in_place.restore_full(state["in_place"])
        self._depth.restore_full(state["depth"])
        self._stopped.restore_full(state["stopped"])
        self._unlearned_seconds, self._rested_seconds = state["rested"]

    def _flow_motion(self, frame: FrameInput, camera: FrameCamera) -> _FlowMotion:
        """The cells that move against the camera, and the frame against the background, which bears on them."""
        residual_px = cell_residual(frame.flow, camera.matrix)
        noise_px = (
            flow_noise_px(residual_px) if camera.stands else camera.motion.residual_px + sweep_noise_px(frame.flow)
        )
        thresholds = raised_for_noise(self._thresholds, noise_px, frame.step_seconds)
        remembered = self._remembered(residual_px.shape[:2])

        def moving(residual_px: np.ndarray, clear: np.ndarray | None = None) -> CellMotion:
            return moving_cells(frame.flow, residual_px, thresholds, frame.step_seconds, remembered, self._grid, clear)

        if self._background.began_anew:
            self._background.learn_first(on_points(moving(residual_px).moving, self._grid))
        seen = self._background.look(frame.image, camera.on_grid(self._grid))
        distance = averaged(seen.mahalanobis)
        clear = self._clearly_unlike(distance, camera.stands, frame.step_seconds)
        cells = moving(residual_px, clear)
        scenery = in_place = None
        if camera.stands:
            in_place = self._in_place.take(cells.moving, residual_px, frame.step_seconds)
        else:
            self._in_place.forget()
            scenery = self._scenery(frame.flow, residual_px, cells)
        left_out = in_place if scenery is None else scenery
        if left_out is not None:
            cells = moving(np.where(left_out[..., None], np.float32(0), residual_px), clear)
        return _FlowMotion(cells, seen, distance, scenery, in_place)

    def _scenery(self, grid_px: np.ndarray, residual_px: np.ndarray, cells: CellMotion) -> np.ndarray | None:
        layers = depth_layers(grid_px, residual_px, cells.moving, self._grid.width, self._grid.height)
        near_or_far = parallax_scenery(grid_px, residual_px, cells.moving)
        self._depth.take(shows_depth(residual_px, cells.moving))
        layers = layers if near_or_far is None else layers | near_or_far
        return layers if layers.any() else None

    def _clearly_unlike(self, distance: np.ndarray, stands: bool, step_seconds: float) -> np.ndarray | None:
        """bool (h, w): what has looked unlike the background for a while, under a camera that stands."""
        unlike = clearly_other(distance)
        if not stands or not unlike.any():
            self._unlike_seconds[:] = 0.0
            return None
        self._unlike_seconds = (self._unlike_seconds + np.float32(step_seconds)) * unlike
        return self._unlike_seconds >= _CLEAR_SECONDS

    def _pair_motion(
        self,
        frame: FrameInput,
        camera: FrameCamera,
        previous: np.ndarray | None,
        cells: CellMotion,
        unknown: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """What two images show to have moved, and its flow, on the earlier frame; None where the background tells."""
        if previous is None or np.count_nonzero(unknown) < _TOO_LITTLE_SHARE * unknown.size:
            return None
        on_grid = camera.on_grid(self._grid)
        lumas = (previous[..., 0], frame.image[..., 0])
        return seen_moving(cells, frame.flow, np.eye(3) if on_grid is None else on_grid, lumas, self._grid)

    def _relit_around(self, frame: FrameInput, changing: np.ndarray) -> bool:
        """Whether it may be the light that changes, and not the place of things."""
        return self._exposure.changed_lately(frame.seconds) or float(changing.mean()) > _WIDELY_SHARE

    def _explaining(self, cells: CellMotion, frame: FrameInput, previous: np.ndarray) -> np.ndarray:
        """bool (h, w): where the flow explains how the image changed, and a common change of the light does not."""
        now = frame.image[..., 0]
        lumas = (relit(previous[..., 0], now, _LIGHT_EVERY), now)
        moved = carried_forward(*seen_moving(cells, frame.flow, np.eye(3), lumas, self._grid))
        return grown(moved, CELL_PX / self._grid.step_px)

    def _remembered(self, shape: tuple[int, ...]) -> np.ndarray | None:
        """bool cells: where something moved a frame ago, and a little around it."""
        return grown(self._cells, _REMEMBERED_CELLS) if self._cells.shape == shape else None


@functools.lru_cache(maxsize=4)
def _text(bits: bytes) -> str:
    """Compress bits to text; most often they are those of the frame before, none."""
    return base64.b64encode(zlib.compress(bits, 6)).decode("ascii")
