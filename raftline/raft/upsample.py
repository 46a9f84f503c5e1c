"""Upsampling from the 1/8 grid to full resolution.

Bilinear (the paper's small), or a convex combination of neighbouring cells whose weights are predicted from the hidden
state (the paper's large), or from the image as well ("guided", the small network that is shipped).
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raftline.kernels.bilinear_upsample import bilinear_upsample
from raftline.kernels.cell import CELL_PX
from raftline.kernels.convex_upsample import MASK_CHANNELS, convex_upsample
from raftline.kernels.crop import Crop
from raftline.raft.encoders import ConvNormReLU

Upsampling = Literal["bilinear", "convex", "guided"]
_STEPS = 2 * 8
"""Channels: both components of the flow's difference to 8 neighbours."""
_LEAST_SHARE = 0.01
"""Stands for a share of 0, which has no logit, where training begins. Chosen by hand: small beside 1/9."""


class MaskPredictor(nn.Module):
    """Hidden state -> (B, 8*8*9, H, W) weights of the 3x3 neighbours for each of the 8x8 pixels of a cell."""

    def __init__(self, in_channels: int, hidden: int) -> None:
        super().__init__()
        self.convrelu = ConvNormReLU(in_channels, hidden, 3)
        self.conv = nn.Conv2d(hidden, MASK_CHANNELS, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        # 0.25: the authors' factor "to balance the gradients" of this branch (core/update.py); weights expect it.
        return 0.25 * self.conv(self.convrelu(hidden))


class GuidedMaskPredictor(nn.Module):
    """Hidden state, image and flow -> weights like those of `MaskPredictor`.

    A hidden state of the 1/8 grid says little about where an edge runs within a cell. The pixels of the cell show it,
    and the difference in flow to the neighbours says whether it matters.

    Args:
        hidden, context: channels of the hidden state and of the context.
        patches: channels that describe the pixels of a cell.
        width: channels of the layer between.
    """

    def __init__(self, hidden: int, context: int, patches: int, width: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, patches, CELL_PX, stride=CELL_PX)
        self.convrelu = ConvNormReLU(hidden + patches + context + _STEPS, width, 3)
        self.conv = nn.Conv2d(width, MASK_CHANNELS, 1)
        # Small, chosen by hand: training begins at the bias, which is nearly bilinear.
        nn.init.normal_(self.conv.weight, std=0.01)
        with torch.no_grad():
            self.conv.bias.copy_(_bilinear_logits())  # type: ignore[union-attr]

    def guide(self, image: Tensor, context: Tensor) -> Tensor:
        """What is read of a frame, once: (B, 3, 8H, 8W) in [-1, 1], (B, context, H, W) -> (B, patches + context, H,
        W)."""
        return torch.cat([F.relu(self.patches(image)), context], dim=1)

    def forward(self, hidden: Tensor, guide: Tensor, flow: Tensor) -> Tensor:
        """(B, hidden, H, W), the guide, (B, 2, H, W) in cells -> (B, 576, H, W), before the softmax."""
        seen = torch.cat([hidden, guide, steps(flow).to(hidden.dtype)], dim=1)
        return self.conv(self.convrelu(seen))


def upsample_convex(flow: Tensor, mask: Tensor, crop: Crop | None = None) -> Tensor:
    """Upsample flow as a convex combination of 3x3 coarse neighbours (appendix B of the paper).

    Args:
        flow: (B, 2, H, W) float32, in cells of the grid.
        mask: (B, 576, H, W), before the softmax; channel = neighbour * 64 + y * 8 + x.
        crop: the part of the (8H, 8W) pixels that is wanted; None for all.

    Returns:
        (B, 2, 8H, 8W) float32 in pixels, or the crop of it; channels-last in memory.
    """
    return convex_upsample(flow, mask, crop)


def upsample_bilinear(flow: Tensor, crop: Crop | None = None) -> Tensor:
    """Upsample flow by interpolation, corners aligned as in the authors' `upflow8`; otherwise as `upsample_convex`."""
    return bilinear_upsample(flow, crop)


def steps(flow: Tensor) -> Tensor:
    """(B, 2, H, W) in cells -> (B, _STEPS, H, W): difference in px to each of the 8 neighbours, long ones
    compressed to their logarithm. Beyond the border the flow is repeated."""
    batch, _, height, width = flow.shape
    flow_px = CELL_PX * flow.detach()
    neighbours = F.unfold(F.pad(flow_px, (1, 1, 1, 1), mode="replicate"), 3).view(batch, 2, 9, height, width)
    others = torch.cat([neighbours[:, :, :4], neighbours[:, :, 5:]], dim=2)
    return torch.asinh(others - flow_px[:, :, None]).flatten(1, 2)


def _bilinear_logits() -> Tensor:
    """(576,) logits of nearly bilinear interpolation between the centres of cells: where training begins."""
    offset = (torch.arange(CELL_PX) - (CELL_PX - 1) / 2) / CELL_PX
    shares = torch.stack([(-offset).clamp(min=0), 1 - offset.abs(), offset.clamp(min=0)])
    both = torch.einsum("iy,jx->ijyx", shares, shares)
    return both.clamp(min=_LEAST_SHARE).log().flatten()
