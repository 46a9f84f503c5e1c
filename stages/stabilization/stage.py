"""Holds the picture still: measures the camera's motion, smooths its path, moves every frame onto it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

import cv2
import numpy as np
from pydantic import Field

from pipeline import stage
from pipeline.errors import ConfigError
from pipeline.messages import EndOfStream, Flow, Frame, Gap, Message, Stabilized
from raftline.camera.camera_motion import CameraMotion, fit_camera_motion
from raftline.camera.direct_alignment import LumaPyramid, refined_motion
from raftline.camera.parallax import ParallaxField
from raftline.camera.plane_models import ModelName
from raftline.camera.texture import texture_weights
from raftline.stabilize.path.path_records import PathRecord
from raftline.stabilize.path.smoothing_kernel import TYPICAL_STEP
from raftline.stabilize.warp.borders import Border
from raftline.stabilize.warp.rolling_shutter import without_shear
from raftline.stabilize.warp.warp import Interpolation
from stages.stabilization.look_ahead import LookAhead
from stages.stabilization.whole_clip import WholeClip

_TRUSTED_CONFIDENCE = 0.1
"""Motion that is less sure than this is taken as none: a picture that stays beats one that wanders."""


class Stabilization(stage.Stage):
    """Moves every frame to where a steady camera would have shown it, without a black border.

    ``whole_clip`` measures the camera's motion in the whole file, then reads the file again and corrects it along the
    best path there is. ``look_ahead`` corrects each frame after a bounded delay, for cameras.

    Kill -9: what was measured of a frame is in a file before the frame is acknowledged, and the snapshot says how much
    of that file counts. Frames that wait for what follows them are retained; the snapshot holds the smoother's state.
    """

    class Options(stage.Options):
        smoothing: Literal["auto", "whole_clip", "look_ahead"] = Field(
            "auto", description="whole_clip: best, for files; look_ahead: for cameras; auto: by the source"
        )
        cutoff_hz: float | None = Field(
            None,
            ge=0.05,
            le=10,
            description="camera movement slower than this stays, faster is shake; in Hz. null: 0.6; 0.3 in a whole "
            "clip that sways at all frequencies, as a hand does, with no gap between slow and fast",
        )
        tripod: bool = Field(
            False, description="hold the picture altogether, as far as the zoom allows; slow movement goes too"
        )
        method: Literal["optimal", "gaussian"] = Field(
            "optimal", description="whole_clip: how the path is smoothed; optimal follows intended movement best"
        )
        look_ahead_seconds: float = Field(
            0.5, ge=0, le=2, description="look_ahead: how long after its arrival a frame is corrected; in seconds"
        )
        model: Literal["translation", "similarity", "affine", "homography"] = Field(
            "similarity", description="model of the camera's motion; a simpler one where the picture supports no more"
        )
        parallax: Literal["auto", "off"] = Field(
            "auto",
            description="auto: parts of a scene nearer or farther than most of it are moved by a mesh, where the "
            "camera's shake bears them out; off: one model for the whole picture",
        )
        readout_ms: float = Field(
            0.0,
            ge=0,
            le=100,
            description="time between the exposure of the first and of the last row, ms; of phones 10 to 30; 0: all "
            "rows at once",
        )
        max_zoom: float = Field(
            1.15, ge=1, le=3, description="whole_clip: most enlargement to hide borders, of which the least is used"
        )
        zoom: float = Field(1.1, ge=1, le=3, description="look_ahead: enlargement to hide borders")
        zooming: Literal["static", "dynamic", "none"] = Field(
            "static",
            description="static: one zoom; dynamic: what is needed around each moment (whole_clip); none: the picture "
            "keeps its size, and what the zoom would hide is shown as border says",
        )
        border: Border = Field(
            "mirror", description="zooming none: the picture mirrored, blurred, or filled from the frames before"
        )
        most_shift_x: float = Field(
            1.0,
            ge=0,
            le=1,
            description="whole_clip: most shift along x, as a share of the width, 0-1; 0 leaves x alone",
        )
        most_shift_y: float = Field(
            1.0, ge=0, le=1, description="whole_clip: most shift along y, as a share of the height, 0-1"
        )
        most_turn_degrees: float = Field(180.0, ge=0, le=180, description="whole_clip: most turn, in degrees")
        interpolation: Interpolation = Field("cubic", description="linear is faster, lanczos sharper")
        path: str = Field("{source}.path.jsonl", description="file for the camera path and correction of each frame")
        plot: str | None = Field(
            "{source}.path.png", description="whole_clip: file for a plot of the path before and after; null: none"
        )

    reads = (Flow,)
    writes = Stabilized
    passes_gaps = False

    options: Options

    def open(self) -> None:
        live, wanted = self.context.source.live, self.options.smoothing
        if wanted == "whole_clip" and live:
            raise ConfigError(
                f"stage {self.context.stage!r}: smoothing: whole_clip reads its input twice, and "
                f"{self.context.source.display} is live; use smoothing: look_ahead"
            )
        looks_ahead = wanted == "look_ahead" or live
        if looks_ahead and self.options.zooming == "dynamic":
            raise ConfigError(
                f"stage {self.context.stage!r}: zooming: dynamic must know the whole clip; with look_ahead use "
                "static or none"
            )
        self._mode = LookAhead(self.options, self.context) if looks_ahead else WholeClip(self.options, self.context)
        self._unseen_seconds = self.options.look_ahead_seconds if looks_ahead else float("inf")
        self._size: tuple[int, int] | None = None
        self._after_gap = False
        self._last = (0, 0)
        self._picture: LumaPyramid | None = None
        self._parallax: ParallaxField | None = None
        self.context.status(smoothing="look_ahead" if looks_ahead else "whole_clip")

    def process(self, message: Flow) -> Iterable[Message]:
        if _position(message) <= self._last:
            self._picture = LumaPyramid.of(_luma(message.frame))
            self._mode.take_again(message)
            return
        yield from self._mode.take(message, self._measure(message))
        self._size, self._after_gap = (message.frame.width, message.frame.height), False
        self._last = _position(message)

    def gap(self, gap: Gap) -> Iterable[Message]:
        if _position(gap) > self._last:
            yield from self._mode.gap(gap)
            self._after_gap = True
            self._last = _position(gap)

    def flush(self, end: EndOfStream) -> Iterable[Message]:
        if end.reason == "failed":
            self._mode.discard()
        else:
            yield from self._mode.finish()

    def unacked_window(self) -> int:
        """What waits for its correction, and the last frame, with which the next one is aligned."""
        return max(self._mode.unacked_window, 0 if self._picture is None else 1)

    def snapshot(self) -> Mapping[str, Any]:
        return {
            "last": self._last,
            "size": self._size,
            "after_gap": self._after_gap,
            "parallax": self._parallax.state() if self._parallax else None,
            "mode": self._mode.state(),
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        self._last = tuple(snapshot["last"])
        self._size = tuple(snapshot["size"]) if snapshot["size"] else None
        self._after_gap = snapshot["after_gap"]
        self._parallax = ParallaxField.from_state(snapshot["parallax"]) if snapshot["parallax"] else None
        self._mode.restore(snapshot["mode"])

    def close(self) -> None:
        if hasattr(self, "_mode"):
            self._mode.close()

    def _measure(self, message: Flow) -> PathRecord:
        """The camera's motion into this frame."""
        frame = message.frame
        size = (frame.width, frame.height)
        starts = message.grid_px is None or self._after_gap or self._size != size
        duplicate = not starts and message.start == "duplicate"
        motion, revised = CameraMotion.still(), []
        luma = _luma(frame)
        before, self._picture = self._picture, LumaPyramid.of(luma)
        if starts and self.options.parallax == "auto":
            self._parallax = ParallaxField(*size, self._unseen_seconds)
        if not starts and not duplicate:
            weights = texture_weights(luma)
            if message.confidence is not None:
                weights = weights * np.asarray(message.confidence)
            grid_px, seconds = np.asarray(message.grid_px), message.step_seconds or TYPICAL_STEP
            motion = self._camera(grid_px, weights, before, self._picture)
            if motion.confidence < _TRUSTED_CONFIDENCE:
                motion = CameraMotion.unknown(motion.reason)
                if self._parallax is not None:
                    self._parallax.lose(seconds)
            elif self._parallax is not None:
                revised = self._parallax.add(frame.index, seconds, grid_px, motion.matrix, weights)
            if motion.model != self._fitted_model:
                self.context.count(f"camera_model_{motion.model}")
        gains = self._parallax.gains if self._parallax is not None else None
        if gains is not None:
            self.context.count("camera_model_mesh")
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

    @property
    def _fitted_model(self) -> ModelName:
        """Rows that were read one after the other shear and bend the picture, which must not pass for a turn."""
        return "rolling_shutter" if self.options.readout_ms else self.options.model

    def _camera(
        self, flow_px: np.ndarray, weights: np.ndarray, before: LumaPyramid | None, now: LumaPyramid
    ) -> CameraMotion:
        plane = self._parallax.plane_trust(*weights.shape) if self._parallax is not None else None
        if plane is not None:
            weights = weights * plane
        motion = fit_camera_motion(flow_px, now.width, now.height, self._fitted_model, weights)
        if before is not None:
            motion = refined_motion(motion, before, now, flow_px, self._fitted_model, plane)
        if self.options.readout_ms:
            motion = replace(motion, matrix=without_shear(motion.matrix, now.width, now.height))
        return motion


def _luma(frame: Frame) -> np.ndarray:
    plane = np.asarray(frame.planes[0])
    return plane if plane.ndim == 2 else cv2.cvtColor(plane, cv2.COLOR_RGB2GRAY)


def _position(message: Flow | Gap) -> tuple[int, int]:
    return message.header.epoch, message.header.sequence
