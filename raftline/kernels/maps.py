"""Maps over one grid, (B, C, H, W) each: checks at the door of the kernels that read several."""

import torch
from torch import Tensor


def check_maps(**maps: tuple[Tensor, int | None]) -> None:
    """Raises ValueError where maps do not go together, with what was found and what is expected.

    Args:
        maps: by the name to say: float32 (B, C, H, W), none of them 0, and how many channels it has to have, None for
            as many as the first one has. Batch, size and device have to be the first one's.
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
