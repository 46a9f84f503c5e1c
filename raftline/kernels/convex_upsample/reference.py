"""What convex upsampling means, in plain torch."""

import torch
import torch.nn.functional as F
from torch import Tensor


def convex_upsample(flow: Tensor, mask: Tensor) -> Tensor:
    """Full-resolution flow as a convex combination of 3x3 coarse neighbours (appendix B of arXiv 2003.12039).

    Args:
        flow: (B, 2, H, W) in cells of the grid; zero outside.
        mask: (B, 576, H, W), before the softmax over the neighbours; channel = neighbour * 64 + y * 8 + x, with
            the neighbours in reading order and (x, y) the pixel within its cell.

    Returns:
        (B, 2, 8H, 8W) float32 in pixels.
    """
    batch, _, height, width = flow.shape
    # The softmax written out: over a strided axis torch's takes six times as long on a CPU, forwards and back.
    logits = mask.float().reshape(batch, 9, 64, height, width)
    shares = (logits - logits.detach().amax(dim=1, keepdim=True)).exp()
    neighbours = F.unfold(8 * flow.float(), 3, padding=1).view(batch, 2, 9, 1, height, width)
    total = shares.sum(dim=1)
    fine = torch.cat([(shares * neighbours[:, axis]).sum(dim=1) / total for axis in range(2)], dim=1)
    return F.pixel_shuffle(fine, 8)
