"""One frame as the stages of detection see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np

from raftline.camera.working_grid import WorkingGrid


@dataclass(frozen=True)
class FrameInput:
    """A frame, the flow from the frame before, and their times."""

    planes: Sequence[np.ndarray]
    """uint8: planar YUV 4:2:0, one packed RGB (H, W, 3), or one grey (H, W)."""
    grid: WorkingGrid
    """Of the frame's size."""
    grid_px: np.ndarray | None
    """float32 (ceil(H/8), ceil(W/8), 2), px; None for the first frame of a run."""
    confidence: np.ndarray | None
    """float32 (ceil(H/8), ceil(W/8)), how far the flow is trusted, 0-1."""
    duplicate: bool
    """It repeats the frame before."""
    still: bool
    """The camera stands, and nothing has changed for a while but noise; its flow is zero."""
    seconds: float
    """Presentation time."""
    step_seconds: float
    """Time since the frame before."""

    def kept(self) -> FrameInput:
        """The same with pixels of its own: those of a stream's frame are there only while it is looked at."""
        return replace(self, planes=[_own(plane) for plane in self.planes])

    @property
    def flow(self) -> np.ndarray:
        """`grid_px` of a frame that has one."""
        assert self.grid_px is not None, "the first frame of a run has no flow"
        return self.grid_px

    @cached_property
    def image(self) -> np.ndarray:
        """uint8 (h, w, 3) luma and two of chroma on the working grid."""
        return self.grid.image(self.planes)

    @cached_property
    def luma(self) -> np.ndarray:
        """uint8 (H, W) at full size."""
        first = self.planes[0]
        return first if first.ndim == 2 else cv2.cvtColor(first, cv2.COLOR_RGB2GRAY)


def _own(plane: np.ndarray) -> np.ndarray:
    """Return a plane that nobody writes: itself, if it is a view of nothing and can only be read."""
    return plane if plane.flags.owndata and not plane.flags.writeable else plane.copy()
