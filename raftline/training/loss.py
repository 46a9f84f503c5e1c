"""The sequence loss of the RAFT paper (section 3.4), and the end-point error."""

from collections.abc import Sequence

import torch
from torch import Tensor

MAX_FLOW_PX = 400.0
"""Longer flows are left out, as in the authors' train.py: there the data sets hold single pixels that are wrong."""


def sequence_loss(flows_px: Sequence[Tensor], truth_px: Tensor, valid: Tensor, gamma: float) -> Tensor:
    """Sum over the iterations of gamma^(iterations to come) times the mean L1 distance to the truth.

    The mean is over known pixels and both components; the authors divide by all pixels, so that there a sparse
    truth counts less.

    Args:
        flows_px: (B, 2, H, W) after each iteration, the last one last.
        truth_px: (B, 2, H, W).
        valid: (B, H, W) bool: where the truth is known. With no such pixel the loss is 0.
        gamma: 0.8 in the paper; 0.85 for its fine-tuning.
    """
    known = valid & (truth_px.norm(dim=1) < MAX_FLOW_PX)
    # Selected, not multiplied by 0: what is not known may be NaN.
    truth_px = torch.where(known[:, None], truth_px, 0.0)
    count = (2 * known.sum()).clamp(min=1)
    total = truth_px.new_zeros(())
    for to_come, flow_px in enumerate(reversed(flows_px)):
        distance = (torch.where(known[:, None], flow_px, 0.0) - truth_px).abs().sum() / count
        total = total + gamma**to_come * distance
    return total


def end_point_error(flow_px: Tensor, truth_px: Tensor, valid: Tensor) -> Tensor:
    """Mean Euclidean distance over the pixels of `valid`, px; 0 where there are none. Shapes as in `sequence_loss`."""
    known = valid & (truth_px.norm(dim=1) < MAX_FLOW_PX)
    distance = torch.where(known, (flow_px - truth_px).norm(dim=1), 0.0)
    return distance.sum() / known.sum().clamp(min=1)
