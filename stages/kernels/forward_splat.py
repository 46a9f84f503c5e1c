"""Carry the last flow forward, the start of the next pair's iterations."""

import torch
from torch import Tensor

from stages.kernels import reference


def forward_splat(flow: Tensor) -> Tensor:
    """(B, 2, H, W) in cells -> the same flow where it arrives; see `stages.kernels.reference.forward_splat`.

    Raises:
        ValueError: another shape, or no floating-point numbers.
    """
    if flow.ndim != 4 or flow.shape[1] != 2 or 0 in flow.shape:
        raise ValueError(f"flow: expected shape (B, 2, H, W), none of them 0; found {tuple(flow.shape)}")
    if not flow.is_floating_point():
        raise ValueError(f"flow: expected a floating-point dtype, found {flow.dtype}")
    with torch.no_grad():
        return reference.forward_splat(flow)
