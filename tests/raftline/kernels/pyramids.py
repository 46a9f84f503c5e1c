"""Correlation pyramids, features, and coordinates that go over every border."""

from __future__ import annotations

import torch
import torch.nn.functional as F
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


def features(batch: int, channels: int, height: int, width: int) -> tuple[Tensor, list[Tensor]]:
    """features1 over sqrt(C), and four levels of features2, the coarsest at least one cell wide."""
    generator = torch.Generator().manual_seed(0)
    one = torch.randn(batch, channels, height, width, generator=generator) / channels**0.5
    levels = [torch.randn(batch, channels, height, width, generator=generator)]
    for _ in range(3):
        h, w = levels[-1].shape[2:]
        levels.append(F.adaptive_avg_pool2d(levels[-1], (max(1, h // 2), max(1, w // 2))))
    return one, levels
