"""Whether the camera stands at a frame, and how it moved if not."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from raftline.camera.camera_motion import CameraMotion, fit_camera_motion
from raftline.camera.texture import texture_weights
from raftline.camera.transforms import frame_corners, transform_points
from raftline.camera.working_grid import WorkingGrid
from raftline.masks.frame_input import FrameInput
from raftline.masks.options import MotionMaskOptions

_TRUSTED_CONFIDENCE = 0.1
"""`CameraMotion.confidence` below which the motion counts as unknown. Chosen by hand;
`python -m benchmarks.bench_motion_masks` shows its effect."""
_STILL_CAMERA_PX = 0.2
"""A camera that moves every corner by less than this stands still: the fit is no better, and subtracting it would add
its error to the flow. Chosen by hand; `python -m benchmarks.bench_motion_masks` shows its effect."""


@dataclass(frozen=True)
class FrameCamera:
    """The camera between two frames."""

    motion: CameraMotion
    """Its ``model`` is ``none`` where the motion is not known."""
    stands: bool
    """It stands still, or nothing else is known."""

    @property
    def known(self) -> bool:
        """Whether its motion is known."""
        return self.motion.model != "none"

    @property
    def matrix(self) -> np.ndarray:
        """(3, 3): px of the earlier frame to px of the later; what is subtracted from the flow."""
        return np.eye(3) if self.stands else self.motion.matrix

    def on_grid(self, grid: WorkingGrid) -> np.ndarray | None:
        """(3, 3): the same in points of the working grid; None where the camera stands."""
        return None if self.stands else grid.from_px @ self.motion.matrix @ grid.to_px


def frame_camera(frame: FrameInput, seen_standing: bool, options: MotionMaskOptions) -> FrameCamera:
    """Decide whether the camera stands, and fit its motion to the flow if not.

    Args:
        frame: With flow.
        seen_standing: The frame lies on the background of a camera that has been standing for a while.
        options: `camera` overrules what is seen.
    """
    if options.camera == "fixed" or (options.camera == "auto" and seen_standing):
        return FrameCamera(CameraMotion.still(), True)
    motion = _fitted(frame, options)
    return FrameCamera(motion, _is_still(motion, frame.grid))


def _fitted(frame: FrameInput, options: MotionMaskOptions) -> CameraMotion:
    weights = texture_weights(frame.luma)
    if frame.confidence is not None:
        weights = weights * frame.confidence
    grid = frame.grid
    motion = fit_camera_motion(frame.flow, grid.width, grid.height, options.model, weights)
    if options.camera == "auto" and motion.model != "none" and _is_still(motion, grid):
        return replace(motion, matrix=np.eye(3))
    return motion if motion.confidence >= _TRUSTED_CONFIDENCE else CameraMotion.unknown(motion.reason)


def _is_still(camera: CameraMotion, grid: WorkingGrid) -> bool:
    """Whether it moves every corner by less than `_STILL_CAMERA_PX`."""
    corners = frame_corners(grid.width, grid.height)
    return bool(np.abs(transform_points(camera.matrix, corners) - corners).max() < _STILL_CAMERA_PX)
