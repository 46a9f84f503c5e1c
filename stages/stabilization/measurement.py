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
from raftline.camera.background_belief import BackgroundBelief
from raftline.camera.bars import Bars, bars_of
from raftline.camera.camera_motion import CameraMotion, fit_camera_motion
from raftline.camera.direct_alignment import following, refined_motion
from raftline.camera.luma_pyramid import LumaPyramid
from raftline.camera.parallax import ParallaxField
from raftline.camera.plane_models import ModelName
from raftline.camera.texture import texture_weights
from raftline.camera.world_motion import agreement, motion_of_trusted
from raftline.camera.zones import zone_mask
from raftline.kernels.cell import CELL_PX
from raftline.stabilize.path.path_records import PathRecord
from raftline.stabilize.path.smoothing_kernel import TYPICAL_STEP
from raftline.stabilize.warp.rolling_shutter import without_shear
from stages.stabilization.options import StabilizationOptions

_MIN_CONFIDENCE = 0.1
"""Motion of less confidence is taken as none: a frame that stays beats one that wanders. Chosen by hand; `python -m
benchmarks.bench_stabilization --parts known --only blank_wall,low_light` shows its effect."""

_MOST_LOST = 15
"""Frames without a motion after which no more is aligned with the one before them. Chosen by hand."""
_TOGETHER = 0.75
"""Share of the flow in one motion with which nothing moves by itself any more, whatever was believed."""
_SEEN_TEXTURE = 0.1
"""Weight of a cell's texture from which it counts fully."""
_WORLD_TRUST, _WORLD_SHARE = 0.25, 0.1
"""Trust from which a cell takes part where much of the frame moves by itself: a belief of one half, squared; and the
share of the cells, the most trusted ones, that do at least."""
_FOLLOWED = 0.6
"""Share of the world whose flow follows a motion from which that is believed without a search on the frames themselves.
Of 0.6, 0.8 and never, the first leaves most gain on foreground, sweep, walker_left and two_layers (421, 375, 401, 149;
never: 413, 333, 399, 142), and takes 19 CPU ms of a handheld 640x360 frame instead of 48."""


class Measurement:
    """Turns flow into `PathRecord`s; keeps the last frame, its size and the parallax learned so far."""

    def __init__(self, options: StabilizationOptions, context: Context, unseen_seconds: float) -> None:
        """Begin with no frame; `unseen_seconds` as in `ParallaxField`."""
        self._options, self._context, self._unseen_seconds = options, context, unseen_seconds
        self._size: tuple[int, int] | None = None
        self._after_gap = False
        self._pyramid: LumaPyramid | None = None
        self._parallax: ParallaxField | None = None
        self._belief: BackgroundBelief | None = None
        self._bars: Bars | None = None
        """Those of all frames so far."""
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
        bars = self._known_bars(luma, anew=self._size != size)
        self._size, self._after_gap = size, False
        if starts:
            self._belief = BackgroundBelief(*size)
            self._parallax = ParallaxField(*size, self._unseen_seconds) if self._finds_parallax(bars) else None
        motion, revised = CameraMotion.still(), []
        if not starts and message.start == "passing":
            motion = CameraMotion.unknown("the frame is unlike both its neighbors")
        elif not starts and not duplicate:
            motion, revised = self._measured(message, luma, before, now)
        self._keep(now, starts or motion.model != "none")
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
            bars=bars.to_json(),
        )

    def _known_bars(self, luma: np.ndarray, anew: bool) -> Bars:
        found, known = bars_of(luma) if self._options.bars == "auto" else Bars(), None if anew else self._bars
        self._bars = known if found is None else found if known is None else known.narrowest(found)
        return self._bars or Bars()

    def _finds_parallax(self, bars: Bars) -> bool:
        """A mesh covers the whole frame, and would move its bars."""
        return self._options.parallax == "auto" and not bars

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
    ) -> tuple[CameraMotion, list[tuple[int, float, float]]]:
        """Return the motion into a frame, and the frames that it revises (see `ParallaxField.add`)."""
        weights = texture_weights(luma)
        if message.confidence is not None:
            weights = weights * np.asarray(message.confidence)
        allowed = self._allowed(weights.shape)
        weights = weights if allowed is None else weights * allowed
        grid_px, seconds = np.asarray(message.grid_px), message.step_seconds or TYPICAL_STEP
        apart, revised = self._lost > 0 and message.start != "resumed", []
        across = self._across(before, now) if apart else None
        motion = across or self._fitted(grid_px, weights, None if apart else before, now)
        if motion.confidence < _MIN_CONFIDENCE:
            motion = CameraMotion.unknown(motion.reason)
        if across is not None or motion.model == "none":
            self._lose(grid_px, seconds)
        else:
            taken = (message.frame.index, seconds, grid_px, motion.matrix, weights)
            known = self._parallax is not None and self._parallax.supported
            if self._belief is not None:
                agrees = None if before is None else agreement(before, now, motion.matrix, *self._belief.shape(grid_px))
                revised = self._belief.add(*taken, settled=known, agrees=agrees)
            revised += self._parallax.add(*taken) if self._parallax is not None and not revised else []
        if motion.model != self._model:
            self._context.count(f"camera_model_{motion.model}")
        return motion, revised

    def _lose(self, grid_px: np.ndarray, seconds: float) -> None:
        """Take a frame whose flow tells nothing of the camera's motion."""
        if self._parallax is not None:
            self._parallax.lose(seconds)
        if self._belief is not None:
            self._belief.lose(grid_px)

    @property
    def _model(self) -> ModelName:
        """A rolling shutter shears and bends the frame, which must not pass for a turn."""
        return "rolling_shutter" if self._options.readout_ms else self._options.model

    def _fitted(
        self, flow_px: np.ndarray, weights: np.ndarray, before: LumaPyramid | None, now: LumaPyramid
    ) -> CameraMotion:
        together = fit_camera_motion(flow_px, now.width, now.height, self._model, weights) if self._lost else None
        if together is not None and together.inlier_share > _TOGETHER:
            self._belief = BackgroundBelief(now.width, now.height)
        plane, seen = self._trusted(weights.shape), weights
        if plane is not None:
            weights = weights * plane
        motion = fit_camera_motion(flow_px, now.width, now.height, self._model, weights)
        if before is not None:
            motion = refined_motion(motion, before, now, flow_px, self._model, plane)
            contested = self._belief is not None and self._belief.contested
            if motion.confidence < _MIN_CONFIDENCE or (
                contested and self._followed(motion, flow_px, plane) < _FOLLOWED
            ):
                trust = np.ones(weights.shape) if plane is None else plane
                if contested:  # what has no texture agrees with any motion
                    trust = trust * np.minimum(seen / _SEEN_TEXTURE, 1.0)
                motion = self._among_trusted(motion, flow_px, trust, before, now)
        if self._options.readout_ms:
            motion = replace(motion, matrix=without_shear(motion.matrix, now.width, now.height))
        return motion

    @staticmethod
    def _followed(motion: CameraMotion, flow_px: np.ndarray, trust: np.ndarray | None) -> float:
        """Return the share of what is the world whose flow follows a motion."""
        world = _world(np.ones(flow_px.shape[:2]) if trust is None else trust)
        return float((following(flow_px, motion) * world).sum() / max(float(world.sum()), 1e-9))

    def _across(self, before: LumaPyramid | None, now: LumaPyramid) -> CameraMotion | None:
        """Return the motion from the last frame that has one, over those that have none."""
        if before is None:
            return None
        shape = -(-now.height // CELL_PX), -(-now.width // CELL_PX)
        trust = self._trusted(shape)
        return motion_of_trusted(
            [np.eye(3)], before, now, self._model, _world(np.ones(shape) if trust is None else trust)
        )

    def _among_trusted(
        self, motion: CameraMotion, flow_px: np.ndarray, trust: np.ndarray, before: LumaPyramid, now: LumaPyramid
    ) -> CameraMotion:
        """Return the motion under which the trusted cells of two frames agree best, wherever the flow leads."""
        weak = fit_camera_motion(flow_px, now.width, now.height, "translation", trust)
        starts = [motion.matrix, weak.matrix]
        found = motion_of_trusted(starts, before, now, self._model, _world(trust), flow_px)
        if found is None and self._belief is not None and self._belief.contested:
            return CameraMotion.unknown("too little of what is the world is in view")
        return motion if found is None else found

    def _trusted(self, shape: tuple[int, ...]) -> np.ndarray | None:
        """Return the trust (rows, columns) in each cell to follow the camera; None trusts all alike."""
        known = [each.trust(*shape) for each in (self._belief, self._parallax) if each is not None]
        trusts = [each for each in (*known, self._allowed(shape)) if each is not None]
        return np.prod(trusts, axis=0) if trusts else None

    def state(self) -> dict[str, Any]:
        """Return everything but the last frame, as JSON values."""
        belief = self._belief.state() if self._belief else None
        return {
            "size": self._size,
            "after_gap": self._after_gap,
            "lost": self._lost,
            "parallax": self._parallax.state() if self._parallax else None,
            "belief": belief,
            "bars": None if self._bars is None else self._bars.to_json(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken."""
        self._size = tuple(state["size"]) if state["size"] else None
        self._after_gap, self._lost = state["after_gap"], state["lost"]
        self._again = deque(maxlen=1 + self._lost)
        self._bars = None if state["bars"] is None else Bars(*state["bars"])
        self._belief = BackgroundBelief.from_state(state["belief"]) if state["belief"] else None
        self._parallax = ParallaxField.from_state(state["parallax"]) if state["parallax"] else None


def _world(trust: np.ndarray) -> np.ndarray:
    """Return trust (rows, columns) of what is the world, 0 of all else."""
    return np.where(trust >= min(_WORLD_TRUST, float(np.quantile(trust, 1.0 - _WORLD_SHARE))), trust, 0.0)


def _luma(frame: Frame) -> np.ndarray:
    plane = np.asarray(frame.in_8_bits().planes[0])
    return plane if plane.ndim == 2 else cv2.cvtColor(plane, cv2.COLOR_RGB2GRAY)
