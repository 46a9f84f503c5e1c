"""Confidence of flow, from a round trip: does the flow back lead to where the flow began?"""

import torch
import torch.nn.functional as F
from torch import Tensor

_RELATIVE, _ABSOLUTE_PX2 = 0.01, 0.5
"""Sundaram, Brox and Keutzer (ECCV 2010), section 4.1: a cell is occluded where the squared distance between start
and return exceeds 0.01 of the two flows' squared lengths plus 0.5 px^2."""


def round_trip_confidence(forward_px: Tensor, backward_px: Tensor) -> Tensor:
    """Compute the confidence of a flow from the flow of the same pair the other way.

    Args:
        forward_px, backward_px: (B, 2, H, W) px of the full resolution, on the grid of 8x8 px cells; from the earlier
            frame to the later one, and back.

    Returns:
        (B, H, W) float32 in [0, 1], on the grid of the earlier frame: 1 where the round trip ends exactly where it
        began, 0.5 where the usual test for occlusion is just met (see `occluded`), less beyond it. 0 where the flow
        leaves the frame, since nothing can be checked there, and where it is not finite.
    """
    _, _, height, width = forward_px.shape
    cells = torch.stack(
        torch.meshgrid(
            torch.arange(width, device=forward_px.device, dtype=torch.float32),
            torch.arange(height, device=forward_px.device, dtype=torch.float32),
            indexing="xy",
        )
    )
    target = cells + forward_px.float() / 8
    limit = torch.tensor([width - 1, height - 1], device=forward_px.device).view(1, 2, 1, 1)
    # The frame ends half a cell beyond the outermost centres.
    inside = ((target >= -0.5) & (target <= limit + 0.5)).all(dim=1)
    place = (2 * target / limit.clamp(min=1) - 1).nan_to_num(0.0, 0.0, 0.0).permute(0, 2, 3, 1)
    returned = F.grid_sample(backward_px.float(), place, padding_mode="border", align_corners=True)
    missed = (forward_px + returned).square().sum(dim=1)
    allowed = _RELATIVE * (forward_px.square().sum(dim=1) + returned.square().sum(dim=1)) + _ABSOLUTE_PX2
    trusted = torch.exp2(-missed / allowed)
    return torch.where(inside & torch.isfinite(trusted), trusted, 0.0)


def occluded(confidence: Tensor) -> Tensor:
    """Mark the cells of the earlier frame that the later one does not show: (B, H, W) bool."""
    return confidence < 0.5
