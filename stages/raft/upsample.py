"""From the 1/8 grid to full resolution: convex combination (large) or bilinear (small)."""

from torch import Tensor, nn

from stages.kernels.bilinear_upsample import bilinear_upsample
from stages.kernels.convex_upsample import convex_upsample
from stages.kernels.window import Window
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


def upsample_convex(flow: Tensor, mask: Tensor, window: Window | None = None) -> Tensor:
    """Full-resolution flow as a convex combination of 3x3 coarse neighbours (appendix B of the paper).

    Args:
        flow: (B, 2, H, W) float32, in cells of the grid.
        mask: (B, 576, H, W), before the softmax; channel = neighbour * 64 + y * 8 + x.
        window: the part of the (8H, 8W) pixels that is wanted; None for all.

    Returns:
        (B, 2, 8H, 8W) float32 in pixels, or the window of it; channels-last in memory.
    """
    return convex_upsample(flow, mask, window)


def upsample_bilinear(flow: Tensor, window: Window | None = None) -> Tensor:
    """As `upsample_convex`, without a mask: interpolated, corners aligned as in the authors' `upflow8`."""
    return bilinear_upsample(flow, window)
