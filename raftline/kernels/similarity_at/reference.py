"""What the similarity along a flow means, in plain torch."""

import torch
import torch.nn.functional as F
from torch import Tensor


def similarity_at(features1: Tensor, features2: Tensor, flow: Tensor) -> Tensor:
    """Cosine similarity of each cell with the place its flow leads to.

    Args:
        features1, features2: (B, C, H, W), of length 1 over C.
        flow: (B, 2, H, W) in cells.

    Returns:
        (B, 1, H, W). Between cells features are mixed bilinearly and brought to length 1; outside they are 0.
    """
    _, _, height, width = features1.shape
    y = torch.arange(height, device=flow.device, dtype=torch.float32)[:, None] + flow[:, 1]
    x = torch.arange(width, device=flow.device, dtype=torch.float32) + flow[:, 0]
    # Corners not aligned: a side of one cell has no corners to align.
    where = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    there = F.normalize(F.grid_sample(features2, where, align_corners=False), dim=1)
    return (features1 * there).sum(dim=1, keepdim=True)
