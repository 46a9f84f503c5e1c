"""What bilinear upsampling means, in plain torch."""

import torch.nn.functional as F
from torch import Tensor


def bilinear_upsample(flow: Tensor) -> Tensor:
    """(B, 2, H, W) in cells -> (B, 2, 8H, 8W) float32 in pixels, corners aligned as in the authors' `upflow8`."""
    size = (8 * flow.shape[2], 8 * flow.shape[3])
    return F.interpolate(8 * flow.float().contiguous(), size=size, mode="bilinear", align_corners=True)
