"""Measures the camera's motion into each frame of a source, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from pipeline.messages import Flow, Frame
from pipeline.stage import Context
from raftline.camera.bars import Bars, bars_of
from raftline.camera.camera_motion import CameraMotion
from raftline.camera.camera_tracker import CameraTracker
from raftline.camera.direct_alignment import following
from raftline.camera.luma_pyramid import LumaPyramid
from raftline.camera.parallax import ParallaxField
from raftline.camera.plane_models import ModelName
from raftline.camera.revision import Revision
from raftline.camera.row_shear import row_shear
from raftline.camera.step import Step
from raftline.camera.texture import texture_weights
from raftline.camera.zones import zone_mask
from raftline.kernels.cell import CELL_PX
from raftline.stabilize.path.path_records import PathRecord
from raftline.stabilize.path.smoothing_kernel import TYPICAL_STEP
from raftline.stabilize.warp.rolling_shutter import without_shear
from stages.stabilization.options import StabilizationOptions

_MOST_LOST = 15
"""Frames without a motion after which no more is aligned with the one before them. Chosen by hand."""


class Measurement:
    """Turns flow into `PathRecord`s; keeps the last frame, its size and the parallax learned so far."""

    def __init__(self, options: StabilizationOptions, context: Context, unseen_seconds: float) -> None:
        """Begin with no frame; `unseen_seconds` as in `ParallaxField`."""
        self._options, self._context, self._unseen_seconds = options, context, unseen_seconds
        self._size: tuple[int, int] | None = None
        self._after_gap = False
        self._pyramid: LumaPyramid | None = None
        self._tracker: CameraTracker | None = None
        self._bars: Bars | None = None
        """Those of all frames so far."""
        self.counts = True
        """Whether it says how frames were measured."""
        self._lost = 0
        self._again: deque[np.ndarray] = deque(maxlen=1)
        """Luma of the last frames that are seen again, up to the one that the next is aligned with."""
        """Frames without a motion since `_pyramid`."""

    @property
    def frames_needed(self) -> int:
        """Frames that a restart must see again: the next is aligned with the last one whose motion is known."""
        return 0 if self._pyramid is None else 1 + self._lost

    def remember(self, frame: Frame) -> None:
        """Take a frame that was measured before, so that the next one can be aligned with it."""
        self._again.append(_luma(frame))
        self._pyramid = LumaPyramid.of(self._again[0])

    def gap(self) -> None:
        """The next frame begins a new path."""
        self._after_gap = True

    def __call__(self, message: Flow) -> PathRecord:
        """Measure the camera's motion into the frame of a message."""
        frame, luma = message.frame, _luma(message.frame)
        size = (frame.width, frame.height)
        starts = message.grid_px is None or self._after_gap or self._size != size
        duplicate = not starts and message.start == "duplicate"
        before, now = self._pyramid, LumaPyramid.of(luma)
        self._know_bars(luma, anew=self._size != size)
        self._size, self._after_gap = size, False
        if starts:
            parallax = ParallaxField(*size, self._unseen_seconds) if self._finds_parallax else None
            self._tracker = CameraTracker(*size, self._model, parallax)
            self._tracker.hindsight.looks_back = self._looks_back
        motion, revised, shear = CameraMotion.still(), [], None
        if not starts and message.start == "passing":
            motion = CameraMotion.unknown("the frame is unlike both its neighbors")
        elif not starts and not duplicate:
            motion, revised, shear = self._measured(message, luma, before, now)
        self._keep(now, starts or motion.model != "none")
        gains = self._tracker.gains if self._tracker is not None else None
        if gains is not None:
            self._count("mesh")
        return PathRecord.of(
            motion,
            frame.index,
            message.header.pts_seconds,
            size,
            starts_path=starts,
            duplicate=duplicate,
            gains=gains,
            revised=revised,
            bars=None if self._bars is None else self._bars.to_json(),
            row_shear_px=shear,
        )

    def _know_bars(self, luma: np.ndarray, anew: bool) -> None:
        found, known = bars_of(luma) if self._options.bars == "auto" else Bars(), None if anew else self._bars
        self._bars = known if found is None else found if known is None else known.narrowest(found)

    @property
    def _looks_back(self) -> bool:
        """A whole clip is measured before anything of it is shown."""
        return self._unseen_seconds == float("inf")

    @property
    def _finds_parallax(self) -> bool:
        """A mesh covers the whole frame, and would move its bars."""
        return self._options.parallax == "auto" and not self._bars

    def _allowed(self, shape: tuple[int, ...]) -> np.ndarray | None:
        """Return which cells (rows, columns), 0 or 1, may tell the camera's motion; None: all."""
        options, bars = self._options, self._bars or Bars()
        if not (options.watch or options.ignore or bars):
            return None
        assert self._size is not None
        allowed = zone_mask(options.watch, options.ignore, shape[1], shape[0])
        return (allowed & bars.cells(shape[0], shape[1], CELL_PX, self._size)).astype(np.float32)

    def _keep(self, now: LumaPyramid, measured: bool) -> None:
        """Align the next frame with this one or, for a while, with the last one whose motion is known."""
        self._lost = 0 if measured else self._lost + 1
        if measured or self._lost > _MOST_LOST:
            self._pyramid, self._lost = now, 0

    def _measured(
        self, message: Flow, luma: np.ndarray, before: LumaPyramid | None, now: LumaPyramid
    ) -> tuple[CameraMotion, list[Revision], tuple[float, float] | None]:
        """Return the motion into a frame, the frames put right, and the rows' shear."""
        weights = texture_weights(luma)
        if message.confidence is not None:
            weights = weights * np.asarray(message.confidence)
        allowed = self._allowed(weights.shape)
        weights = weights if allowed is None else weights * allowed
        assert self._tracker is not None
        step = Step(
            message.frame.index,
            message.step_seconds or TYPICAL_STEP,
            np.asarray(message.grid_px),
            weights,
            allowed,
            before,
            now,
            apart=self._lost > 0 and message.start != "resumed",
        )
        motion, revised = self._tracker.take(step)
        shear = None
        if self._options.readout_ms == "auto" and motion.model != "none" and not step.apart:
            shear = row_shear(step.flow_px, weights * following(step.flow_px, motion), now.height)
        if self._options.known_readout_seconds:
            motion = replace(motion, matrix=without_shear(motion.matrix, now.width, now.height))
        if motion.model != (self._model or "similarity"):
            self._count(motion.model)
        return motion, revised, shear

    @property
    def _model(self) -> ModelName | None:
        """A rolling shutter shears and bends the frame, which must not pass for a turn. None: as `CameraTracker`."""
        if self._options.known_readout_seconds:
            return "rolling_shutter"
        return None if self._options.model == "auto" else self._options.model

    def _count(self, model: str) -> None:
        if self.counts:
            self._context.count(f"camera_model_{model}")

    def state(self) -> dict[str, Any]:
        """Return everything but the last frame and `large_state`, as JSON values."""
        return {
            "size": self._size,
            "after_gap": self._after_gap,
            "lost": self._lost,
            "tracker": self._tracker.state() if self._tracker else None,
            "bars": None if self._bars is None else self._bars.to_json(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken."""
        self._size = tuple(state["size"]) if state["size"] else None
        self._after_gap, self._lost = state["after_gap"], state["lost"]
        self._again = deque(maxlen=1 + self._lost)
        self._bars = None if state["bars"] is None else Bars(*state["bars"])
        tracker = state["tracker"]
        self._tracker = CameraTracker.from_state(tracker, self._model) if tracker else None
        if self._tracker is not None:
            self._tracker.hindsight.looks_back = self._looks_back

    def large_state(self) -> dict[str, Any] | None:
        """Return what `state` leaves out, up to 5 MB; None: nothing."""
        return self._tracker.hindsight.state() if self._tracker else None

    def restore_large(self, state: Mapping[str, Any]) -> None:
        """Go on where `large_state` was taken, after `restore`."""
        if self._tracker is not None:
            self._tracker.hindsight.restore(state)


def _luma(frame: Frame) -> np.ndarray:
    plane = np.asarray(frame.in_8_bits().planes[0])
    return plane if plane.ndim == 2 else cv2.cvtColor(plane, cv2.COLOR_RGB2GRAY)
