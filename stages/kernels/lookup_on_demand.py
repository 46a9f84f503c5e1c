"""The correlation lookup without a volume: the dot products of a window are computed where they are looked up.

Memory is linear in the pixels. On a CPU it is no slower than reading the windows from a volume, since features lie
in cache and windows of a volume do not, and the volume need not be made. Its meaning is
`stages.kernels.reference.lookup_on_demand`; the kernel is `lookup_on_demand_cpu.py`.
"""

import torch
from torch import Tensor

from stages.kernels.lookup import MAX_LEVELS, MAX_RADIUS, lookup_choice
from stages.kernels.lookup_on_demand_cpu import lookup_on_demand_cpu


def supports(device: torch.device) -> bool:
    """Whether there is a kernel for the device: so far for CPUs, with numba."""
    return device.type == "cpu" and lookup_choice(device).name == "numba"


def lookup_on_demand(features1: Tensor, levels2: list[Tensor], coords: Tensor, radius: int) -> Tensor:
    """Windows of correlation around every pixel's coordinates, bilinear, zero outside.

    Args:
        features1: (B, C, H, W) float32 of the earlier frame, already divided by sqrt(C).
        levels2: 1 to 4 tensors (B, C, h_l, w_l) float32, the later frame's features averaged over 2**l cells.
        coords: (B, 2, H, W) float32, (x, y) in cells of level 0; level l is read at coords / 2**l.
        radius: 1 to 4, in cells of each level.

    Returns:
        (B, len(levels2) * (2r+1)**2, H, W) float32, channels-last in memory.

    Raises:
        ValueError: wrong device, dtype or shape, with what was found and what is expected.
    """
    _check(features1, levels2, coords, radius)
    return lookup_on_demand_cpu(features1, levels2, coords, radius)


def _check(features1: Tensor, levels2: list[Tensor], coords: Tensor, radius: int) -> None:
    if not 1 <= len(levels2) <= MAX_LEVELS:
        raise ValueError(f"levels2: expected 1 to {MAX_LEVELS} tensors, found {len(levels2)}")
    if not 1 <= radius <= MAX_RADIUS:
        raise ValueError(f"radius: expected 1 to {MAX_RADIUS}, found {radius}")
    if features1.ndim != 4 or features1.numel() == 0:
        raise ValueError(f"features1: expected shape (B, C, H, W), none of them 0; found {tuple(features1.shape)}")
    batch, channels, height, width = features1.shape
    if tuple(coords.shape) != (batch, 2, height, width):
        raise ValueError(f"coords: expected shape ({batch}, 2, {height}, {width}), found {tuple(coords.shape)}")
    named = {"features1": features1, "coords": coords, **{f"levels2[{n}]": x for n, x in enumerate(levels2)}}
    for name, tensor in named.items():
        if tensor.dtype is not torch.float32:
            raise ValueError(f"{name}: expected float32, found {tensor.dtype}")
        if not supports(tensor.device):
            raise ValueError(f"{name}: expected a tensor on the CPU, with numba installed; found {tensor.device}")
    for number, level in enumerate(levels2):
        if level.ndim != 4 or tuple(level.shape[:2]) != (batch, channels) or level.numel() == 0:
            raise ValueError(
                f"levels2[{number}]: expected shape ({batch}, {channels}, h, w), h and w at least 1; "
                f"found {tuple(level.shape)}"
            )
