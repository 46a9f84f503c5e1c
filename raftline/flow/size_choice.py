"""The size at which a stream's flow is estimated: small while its frames move as one, else full."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from raftline.flow.grid import Cells, frame_flow, resampled, resampled_flow, working_size
from raftline.flow.one_motion import moves_as_one
from raftline.flow.result import FlowResult
from raftline.kernels.cell import CELL_PX
from raftline.raft.padding import Padding

_CALM_FRAMES = 2
"""Frames in a row that have to move as one before the small size is tried again. On meshflow-8, where one in three does
not, a frame takes 206 ms with 1, 234 with 2 and 279 with 5 (added up from the times of both sizes); with 1, frames that
only seem to move on their own when they are small would take 38 % longer than without a small size, with 2 19 %."""


class SizeChoice:
    """Begins with the small size; each result says at which size the stream goes on.

    Args:
        side_px: longer side of small frames; None: frames always have their full size.
    """

    def __init__(self, side_px: int | None) -> None:
        self._side_px = side_px
        self.is_small = self._has_two = False
        """Whether frames are scaled down now, and whether they can be."""
        self._calm = 0

    def begin(self, height: int, width: int) -> None:
        """Begin a run of frames of this size."""
        self.is_small = self._has_two = self._side_px is not None and max(height, width) > self._side_px
        self._calm = 0

    def full_state(self) -> dict[str, Any]:
        """All of it but the option, as JSON values."""
        return {name: value for name, value in vars(self).items() if name != "_side_px"}

    def restore_full(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where `full_state` was taken."""
        vars(self).update(state)

    def scaled(self, frame_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """The frame, uint8 (H, W, 3), at the size of now: itself where that is its own."""
        height, width = frame_rgb.shape[:2]
        worked = working_size(height, width, self._small_side_px(height, width) if self.is_small else None)
        if worked == (height, width):
            return frame_rgb
        return cv2.resize(frame_rgb, worked[::-1], interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)

    def moved_as_one(self) -> None:
        """Hear of a frame that moves as one, of which there is no result."""
        self._calm += 1
        self.is_small = self._has_two and (self.is_small or self._calm >= _CALM_FRAMES)

    def judge(self, result: FlowResult) -> bool:
        """Choose the size to go on at. Returns whether it is another one: then a small result is not good enough."""
        if not self._has_two or result.start == "scene_cut":
            return False
        as_one = moves_as_one(result.grid_px, CELL_PX)
        self._calm = self._calm + 1 if as_one else 0
        was_small, self.is_small = self.is_small, as_one if self.is_small else self._calm >= _CALM_FRAMES
        return self.is_small != was_small

    def _small_side_px(self, height: int, width: int) -> int | None:
        """Longer side of small frames, where those of the stream are height x width."""
        return self._side_px


def at_frame_size(result: FlowResult, source: Cells, frame: tuple[int, int]) -> FlowResult:
    """A result whose cells lie as `source` says, at the size of the frame (height, width)."""
    if source[:2] == frame:
        return result
    padding = Padding.for_size(*frame)
    target = Cells.padded(*frame, padding)
    trusted = None if result.confidence is None else resampled(result.confidence, source, target)
    flow_px = None if result.flow_px is None else frame_flow(result.flow_px, frame)
    grid_px = resampled_flow(result.grid_px, source, target)
    return replace(result, grid_px=grid_px, flow_px=flow_px, padding=padding, confidence=trusted, scaled_down=True)
