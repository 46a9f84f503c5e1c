"""The network at half the size of the frames while that explains them, else at full size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from raftline.flow.result import FlowResult
from raftline.flow.size_choice import SizeChoice
from raftline.kernels.cell import CELL_PX
from raftline.raft.model import grid_coordinates
from raftline.raft.padding import MINIMUM_SIZE_PX

_UNLIKE_LEVELS = 24.0
"""Mean difference, grey levels, from which the flow does not explain a square."""
_MOST_UNEXPLAINED = 0.01
"""Share of the squares that the flow may leave unexplained. Both tuned on all ground truth at hand: where half size is
as exact as the paper's network at full size the share is 0.004 at most (Middlebury, Sintel), where it loses objects
0.023 (KITTI) and 0.064 (FlyingChairs). Of the features' similarity 0.012 and 0.012 to 0.047 were found."""
_LONGEST_PAUSE = 32
"""Frames after which half size is tried again, at most: a try that fails takes half as long as a frame at full size.
Chosen by hand."""


class HalfSize(SizeChoice):
    """Begins with half size; a frame that this does not explain, and those after it, have full size.

    Half size is tried again after 2 frames, and after twice as many each time that it is not enough.
    """

    def __init__(self) -> None:
        super().__init__(None)
        self._pause = self._left = 0
        """Frames between two tries, and those until the next one."""

    def begin(self, height: int, width: int) -> None:
        self.is_small = self._has_two = min(height, width) >= 2 * MINIMUM_SIZE_PX
        self._pause = self._left = 1

    def judge(self, result: FlowResult) -> bool:
        if not self._has_two or result.start == "scene_cut":
            return False
        was_small = self.is_small
        if was_small:
            self.is_small = result.unexplained <= _MOST_UNEXPLAINED
            self._pause = 1 if self.is_small else min(2 * self._pause, _LONGEST_PAUSE)
            self._left = self._pause
        else:
            self._left -= 1
            self.is_small = self._left <= 0
        return self.is_small != was_small

    def _small_side_px(self, height: int, width: int) -> int | None:
        return max(height, width) // 2


@torch.no_grad()
def unexplained_share(luma1: Tensor, luma2: Tensor, flow_px: Tensor) -> float:
    """Share of a frame, 0 to 1, in squares of 16 px, that looks different where the flow leads.

    What leaves the frame is not counted.

    Args:
        luma1, luma2: (1, 1, H, W) grey levels of the earlier and the later frame.
        flow_px: (1, 2, H, W).
    """
    height, width = luma1.shape[-2] // 2, luma1.shape[-1] // 2
    earlier, later, moved = (F.interpolate(each, (height, width), mode="area") for each in (luma1, luma2, flow_px / 2))
    there = grid_coordinates(moved) + moved
    size = there.new_tensor([width, height])[:, None, None]
    where = ((2 * there + 1) / size - 1).permute(0, 2, 3, 1)
    inside = (where.abs() <= 1).all(dim=-1)[:, None]
    differs = (F.grid_sample(later, where, align_corners=False) - earlier).abs() * inside
    return float((F.avg_pool2d(differs, CELL_PX) > _UNLIKE_LEVELS).float().mean())
