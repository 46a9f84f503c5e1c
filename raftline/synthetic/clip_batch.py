"""What a data set gives for a training step."""

from typing import NamedTuple

import torch
from torch import Tensor


class ClipBatch(NamedTuple):
    """A batch of short runs of frames with the flow from each to the next. T is 2 or 3."""

    frames: Tensor
    """(B, T, 3, H, W) float32 RGB, 0 to 255."""
    flows: Tensor
    """(B, T - 1, 2, H, W) float32 px; 0 where it is not known."""
    valid: Tensor
    """(B, T - 1, H, W) bool: where the flow is known."""
    visible: Tensor | None
    """(B, T - 1, H, W) bool: what is seen there is also seen in the next frame. None where that is not known."""
    names: tuple[str, ...]
    """Of each clip: where to find it again."""

    def to(self, device: torch.device) -> "ClipBatch":
        """The same on another device."""
        visible = None if self.visible is None else self.visible.to(device, non_blocking=True)
        frames, flows, valid = (t.to(device, non_blocking=True) for t in (self.frames, self.flows, self.valid))
        return ClipBatch(frames, flows, valid, visible, self.names)


def network_input(frames: Tensor) -> Tensor:
    """(..., 3, H, W) RGB, 0 to 255 -> [-1, 1]."""
    return frames * (2 / 255) - 1
