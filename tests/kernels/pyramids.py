"""Correlation pyramids and coordinates that go over every border."""

from __future__ import annotations

import torch
from torch import Tensor


def pyramid(batch: int, height: int, width: int, seed: int = 0) -> list[Tensor]:
    """Four levels of random numbers in [-2, 2]; the coarse ones of small planes are 1 cell wide."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [(max(1, height >> level), max(1, width >> level)) for level in range(4)]
    return [torch.rand(batch, height, width, h, w, generator=generator) * 4 - 2 for h, w in sizes]


def coordinates(batch: int, height: int, width: int, seed: int = 1) -> Tensor:
    """(B, 2, H, W): inside, on the borders, on whole cells, and with windows wholly outside."""
    generator = torch.Generator().manual_seed(seed)
    size = torch.tensor([width, height], dtype=torch.float32)[None, :, None, None]
    coords = torch.rand(batch, 2, height, width, generator=generator) * (size + 24) - 12
    coords.view(-1)[::5] = coords.view(-1)[::5].round()
    coords.view(-1)[::11] = -1.0
    coords.view(-1)[::13] = 1000.0
    return coords
