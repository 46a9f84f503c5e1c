"""What the difference of features at points means, in plain torch."""

import torch
import torch.nn.functional as F
from torch import Tensor


def difference_at(here: Tensor, later: Tensor, there: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
    """See `raftline.kernels.difference_at.difference_at`. No value is read on the host."""
    difference = here[:, None] - _between(later, there)
    square = torch.linalg.vector_norm(difference, dim=-1).square()
    return square, (slopes[:, None] * difference[:, :, None]).sum(dim=-1)


def _between(later: Tensor, there: Tensor) -> Tensor:
    """Features (B, K, S, C) at points (B, K, 2, S), bilinear, the nearest ones outside."""
    batch, height, width, _ = later.shape
    last = torch.stack([there.new_full((1,), width - 1), there.new_full((1,), height - 1)])
    there = there.clamp(last * 0, last)
    low = there.floor()
    share_x, share_y = (there - low).unbind(dim=2)
    x, y = low.long().unbind(dim=2)
    right, below = (low < last).unbind(dim=2)
    row = torch.stack([y * width + x, y * width + x + right], dim=-1)
    first = torch.arange(batch, device=later.device)[:, None, None, None, None] * (height * width)
    corners = torch.stack([row, row + width * below[..., None]], dim=-2) + first
    across = torch.stack([1 - share_x, share_x], dim=-1)
    weights = torch.stack([1 - share_y, share_y], dim=-1)[..., None] * across[..., None, :]
    mixed = F.embedding_bag(
        corners.flatten(3).flatten(0, 2),
        later.flatten(0, 2),
        per_sample_weights=weights.flatten(3).flatten(0, 2),
        mode="sum",
    )
    return mixed.unflatten(0, corners.shape[:3])
