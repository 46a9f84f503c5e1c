"""How far a flow can be trusted: where it leads, does the flow back lead home?"""

import torch
import torch.nn.functional as F
from torch import Tensor

_RELATIVE, _ABSOLUTE_PX2 = 0.01, 0.5
"""Sundaram, Brox and Keutzer (ECCV 2010), section 4.1: a cell is occluded where the squared distance between start
and return exceeds 0.01 of the two flows' squared lengths plus 0.5 px^2."""


def round_trip_confidence(forward_px: Tensor, backward_px: Tensor) -> Tensor:
    """Confidence in a flow, from the flow of the same pair the other way.

    Args:
        forward_px, backward_px: (B, 2, H, W) px of the full resolution, on the grid of 8x8 px cells; from the earlier
            frame to the later one, and back.

    Returns:
        (B, H, W) float32 in [0, 1], on the earlier frame's grid: 1 where the way back leads exactly home, 0.5 where
        the usual test for occlusion is just met (see `occluded`), towards 0 beyond it. 0 where the flow leads out of
        the frame, since nothing there can be checked, and where it is not finite.
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
    # Half a cell beyond the outermost centres is still in the image.
    inside = ((target >= -0.5) & (target <= limit + 0.5)).all(dim=1)
    place = (2 * target / limit.clamp(min=1) - 1).nan_to_num(0.0, 0.0, 0.0).permute(0, 2, 3, 1)
    returned = F.grid_sample(backward_px.float(), place, padding_mode="border", align_corners=True)
    missed = (forward_px + returned).square().sum(dim=1)
    allowed = _RELATIVE * (forward_px.square().sum(dim=1) + returned.square().sum(dim=1)) + _ABSOLUTE_PX2
    trusted = torch.exp2(-missed / allowed)
    return torch.where(inside & torch.isfinite(trusted), trusted, 0.0)


def occluded(confidence: Tensor) -> Tensor:
    """(B, H, W) bool: cells of the earlier frame that the later one does not show."""
    return confidence < 0.5
