"""Checks of maps over one grid, (B, C, H, W) each, for kernels that read several."""

import torch
from torch import Tensor


def check_maps(**maps: tuple[Tensor, int | None]) -> None:
    """Check that maps fit together: float32 (B, C, H, W), none of them 0, with batch, size and device of the first one.

    Args:
        maps: by name, each with the number of channels that it must have; None: as many as the first one.

    Raises:
        ValueError: maps that do not fit, with what was found and what is expected.
    """
    leading, (first, channels) = next(iter(maps.items()))
    if first.ndim != 4 or 0 in first.shape or channels not in (None, first.shape[1]):
        wanted = "C" if channels is None else channels
        raise ValueError(f"{leading}: expected shape (B, {wanted}, H, W), none of them 0; found {tuple(first.shape)}")
    batch, _, height, width = first.shape
    for name, (tensor, channels) in maps.items():
        expected = (batch, first.shape[1] if channels is None else channels, height, width)
        if tuple(tensor.shape) != expected:
            raise ValueError(f"{name}: expected shape {expected}, found {tuple(tensor.shape)}")
        if tensor.dtype is not torch.float32:
            raise ValueError(f"{name}: expected float32, found {tensor.dtype}")
        if tensor.device != first.device:
            raise ValueError(f"{name}: on {tensor.device}, but {leading} is on {first.device}; move one")
