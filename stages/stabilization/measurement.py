"""Measures the camera's motion into each frame of a source, in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from pipeline.messages import Flow, Frame
from pipeline.stage import Context
from raftline.camera.camera_motion import CameraMotion, fit_camera_motion
from raftline.camera.direct_alignment import refined_motion
from raftline.camera.luma_pyramid import LumaPyramid
from raftline.camera.parallax import ParallaxField
from raftline.camera.plane_models import ModelName
from raftline.camera.texture import texture_weights
from raftline.stabilize.path.path_records import PathRecord
from raftline.stabilize.path.smoothing_kernel import TYPICAL_STEP
from raftline.stabilize.warp.rolling_shutter import without_shear
from stages.stabilization.options import StabilizationOptions

_MIN_CONFIDENCE = 0.1
"""Motion of less confidence is taken as none: a frame that stays beats one that wanders. Chosen by hand; `python -m
benchmarks.bench_stabilization --parts known --only blank_wall,low_light` shows its effect."""


class Measurement:
    """Turns flow into `PathRecord`s; keeps the last frame, its size and the parallax learned so far."""

    def __init__(self, options: StabilizationOptions, context: Context, unseen_seconds: float) -> None:
        """Begin with no frame; `unseen_seconds` as in `ParallaxField`."""
        self._options, self._context, self._unseen_seconds = options, context, unseen_seconds
        self._size: tuple[int, int] | None = None
        self._after_gap = False
        self._pyramid: LumaPyramid | None = None
        self._parallax: ParallaxField | None = None

    @property
    def needs_last_frame(self) -> bool:
        """The next frame will be aligned with the last one, so that a restart must see that again."""
        return self._pyramid is not None

    def remember(self, frame: Frame) -> None:
        """Take a frame that was measured before, so that the next one can be aligned with it."""
        self._pyramid = LumaPyramid.of(_luma(frame))

    def gap(self) -> None:
        """The next frame begins a new path."""
        self._after_gap = True

    def __call__(self, message: Flow) -> PathRecord:
        """Measure the camera's motion into the frame of a message."""
        frame, luma = message.frame, _luma(message.frame)
        size = (frame.width, frame.height)
        starts = message.grid_px is None or self._after_gap or self._size != size
        duplicate = not starts and message.start in ("duplicate", "passing")
        before, now = self._pyramid, LumaPyramid.of(luma)
        self._pyramid = before if message.start == "passing" else now
        self._size, self._after_gap = size, False
        if starts and self._options.parallax == "auto":
            self._parallax = ParallaxField(*size, self._unseen_seconds)
        motion, revised = CameraMotion.still(), []
        if not starts and not duplicate:
            motion, revised = self._measured(message, luma, before, now)
        gains = self._parallax.gains if self._parallax is not None else None
        if gains is not None:
            self._context.count("camera_model_mesh")
        return PathRecord.of(
            motion,
            frame.index,
            message.header.pts_seconds,
            size,
            starts_path=starts,
            duplicate=duplicate,
            gains=gains,
            revised=revised,
        )

    def _measured(
        self, message: Flow, luma: np.ndarray, before: LumaPyramid | None, now: LumaPyramid
    ) -> tuple[CameraMotion, list[tuple[int, float, float]]]:
        """Return the motion into a frame, and the frames that it revises (see `ParallaxField.add`)."""
        weights = texture_weights(luma)
        if message.confidence is not None:
            weights = weights * np.asarray(message.confidence)
        grid_px, seconds = np.asarray(message.grid_px), message.step_seconds or TYPICAL_STEP
        motion, revised = self._fitted(grid_px, weights, before, now), []
        if motion.confidence < _MIN_CONFIDENCE:
            motion = CameraMotion.unknown(motion.reason)
            if self._parallax is not None:
                self._parallax.lose(seconds)
        elif self._parallax is not None:
            revised = self._parallax.add(message.frame.index, seconds, grid_px, motion.matrix, weights)
        if motion.model != self._model:
            self._context.count(f"camera_model_{motion.model}")
        return motion, revised

    @property
    def _model(self) -> ModelName:
        """A rolling shutter shears and bends the frame, which must not pass for a turn."""
        return "rolling_shutter" if self._options.readout_ms else self._options.model

    def _fitted(
        self, flow_px: np.ndarray, weights: np.ndarray, before: LumaPyramid | None, now: LumaPyramid
    ) -> CameraMotion:
        plane = self._parallax.plane_trust(*weights.shape) if self._parallax is not None else None
        if plane is not None:
            weights = weights * plane
        motion = fit_camera_motion(flow_px, now.width, now.height, self._model, weights)
        if before is not None:
            motion = refined_motion(motion, before, now, flow_px, self._model, plane)
        if self._options.readout_ms:
            motion = replace(motion, matrix=without_shear(motion.matrix, now.width, now.height))
        return motion

    def state(self) -> dict[str, Any]:
        """Return everything but the last frame, as JSON values."""
        parallax = self._parallax.state() if self._parallax else None
        return {"size": self._size, "after_gap": self._after_gap, "parallax": parallax}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken."""
        self._size = tuple(state["size"]) if state["size"] else None
        self._after_gap = state["after_gap"]
        self._parallax = ParallaxField.from_state(state["parallax"]) if state["parallax"] else None


def _luma(frame: Frame) -> np.ndarray:
    plane = np.asarray(frame.in_8_bits().planes[0])
    return plane if plane.ndim == 2 else cv2.cvtColor(plane, cv2.COLOR_RGB2GRAY)
