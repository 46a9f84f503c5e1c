"""Flow, masks and crops for the tests of upsampling."""

from __future__ import annotations

import torch
from torch import Tensor

from raftline.kernels.crop import Crop

SIZES = [(1, 6, 9), (2, 5, 3), (1, 1, 1), (1, 1, 7), (1, 4, 1), (3, 9, 14)]


def flow_and_mask(batch: int, height: int, width: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Flow up to 10 cells or so; weights from alike to one that has it all, some of them far below."""
    generator = torch.Generator().manual_seed(seed)
    flow = 3 * torch.randn(batch, 2, height, width, generator=generator)
    mask = 8 * torch.randn(batch, 576, height, width, generator=generator)
    mask.view(-1)[::17] = -1000.0
    mask.view(-1)[::19] = 60.0
    return flow, mask.contiguous(memory_format=torch.channels_last)


def crops(height: int, width: int) -> list[Crop]:
    """All of height x width cells; without odd margins; one pixel in the corner."""
    return [
        Crop(0, 0, 8 * height, 8 * width),
        Crop(3, 1, 8 * height - 5, 8 * width - 4),
        Crop(8 * height - 1, 8 * width - 1, 1, 1),
    ]
