"""Clips of frames with their flow, as a training step takes them."""

from typing import NamedTuple

import torch
from torch import Tensor


class ClipBatch(NamedTuple):
    """A batch of B clips: T frames each, 2 or 3, with the flow from each frame to the next."""

    frames: Tensor
    """(B, T, 3, H, W) float32 RGB, 0 to 255."""
    flows: Tensor
    """(B, T - 1, 2, H, W) float32 px; 0 where unknown."""
    valid: Tensor
    """(B, T - 1, H, W) bool: where the flow is known."""
    visible: Tensor | None
    """(B, T - 1, H, W) bool: what the pixel shows is visible in the next frame too. None where unknown."""
    names: tuple[str, ...]
    """Where to find each clip again."""

    def to(self, device: torch.device) -> "ClipBatch":
        """Copy to another device."""
        visible = None if self.visible is None else self.visible.to(device, non_blocking=True)
        frames, flows, valid = (t.to(device, non_blocking=True) for t in (self.frames, self.flows, self.valid))
        return ClipBatch(frames, flows, valid, visible, self.names)


def network_input(frames: Tensor) -> Tensor:
    """Scale (..., 3, H, W) RGB from 0 to 255 to [-1, 1], the network's range."""
    return frames * (2 / 255) - 1
