"""From the 1/8 grid to full resolution: convex combination (large) or bilinear (small)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.raft.encoders import ConvNormReLU


class MaskPredictor(nn.Module):
    """Hidden state -> (B, 8*8*9, H, W) weights of the 3x3 neighbours for each of the 8x8 pixels of a cell."""

    def __init__(self, in_channels: int, hidden: int) -> None:
        super().__init__()
        self.convrelu = ConvNormReLU(in_channels, hidden, 3)
        self.conv = nn.Conv2d(hidden, 8 * 8 * 9, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        # 0.25: the authors' factor "to balance the gradients" of this branch (core/update.py); weights expect it.
        return 0.25 * self.conv(self.convrelu(hidden))


def upsample_convex(flow: Tensor, mask: Tensor) -> Tensor:
    """Full-resolution flow as a convex combination of 3x3 coarse neighbours (appendix B of the paper).

    Args:
        flow: (B, 2, H, W) in cells of the grid.
        mask: (B, 576, H, W), before the softmax; channel = neighbour * 64 + y * 8 + x.

    Returns:
        (B, 2, 8H, 8W) in pixels.
    """
    batch, _, height, width = flow.shape
    weights = torch.softmax(mask.view(batch, 1, 9, 8, 8, height, width), dim=2)
    neighbours = F.unfold(8 * flow, 3, padding=1).view(batch, 2, 9, 1, 1, height, width)
    fine = torch.sum(weights * neighbours, dim=2)
    return fine.permute(0, 1, 4, 2, 5, 3).reshape(batch, 2, 8 * height, 8 * width)


def upsample_bilinear(flow: Tensor) -> Tensor:
    """(B, 2, H, W) in cells -> (B, 2, 8H, 8W) in pixels, corners aligned as in the authors' `upflow8`."""
    size = (8 * flow.shape[2], 8 * flow.shape[3])
    return 8 * F.interpolate(flow.contiguous(), size=size, mode="bilinear", align_corners=True)
