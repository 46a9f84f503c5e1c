"""Correlation of two frames' features, and its pyramid (section 3.2 of arXiv 2003.12039), held in one of two ways."""

import math
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from stages.kernels.lookup import lookup
from stages.kernels.lookup_on_demand import lookup_on_demand, supports

LEVELS = 4

CorrelationMode = Literal["all-pairs", "on-demand"]


class Correlation(Protocol):
    """What the iterations need of it."""

    def lookup(self, coords: Tensor) -> Tensor:
        """coords (B, 2, H, W), (x, y) in cells -> (B, LEVELS * (2r+1)^2, H, W)."""
        ...


def correlation_mode(device: torch.device) -> CorrelationMode:
    """On demand where there is a kernel for it, else all pairs."""
    return "on-demand" if supports(device) else "all-pairs"


def correlate(features1: Tensor, features2: Tensor, radius: int) -> Correlation:
    """features1, features2: (B, C, H, W) of the earlier and the later frame. All pairs where gradients are wanted."""
    gradient = torch.is_grad_enabled() and (features1.requires_grad or features2.requires_grad)
    if correlation_mode(features1.device) == "on-demand" and not gradient:
        return OnDemandCorrelation(features1, features2, radius)
    return AllPairsCorrelation(features1, features2, radius)


class AllPairsCorrelation:
    """Dot products of every feature of one frame with every feature of the next, averaged over 1, 2, 4, 8 cells.

    Level l is a (B, H, W, H >> l, W >> l) tensor: the earlier frame's pixel first, the later frame's after it.
    Memory is quadratic in the pixels: 4/3 * (H * W)^2 numbers.
    """

    def __init__(self, features1: Tensor, features2: Tensor, radius: int) -> None:
        batch, _, height, width = features1.shape
        rows = _scaled(features1).flatten(2).transpose(1, 2)
        volume = torch.matmul(rows, features2.flatten(2)).view(batch, height, width, height, width)
        self.levels = [volume]
        self.radius = radius
        for _ in range(LEVELS - 1):
            self.levels.append(_halve(self.levels[-1]))

    def lookup(self, coords: Tensor) -> Tensor:
        """See Correlation."""
        return lookup(self.levels, coords, self.radius)


class OnDemandCorrelation:
    """The features, and the later frame's averaged over 1, 2, 4, 8 cells. Memory is linear in the pixels."""

    def __init__(self, features1: Tensor, features2: Tensor, radius: int) -> None:
        self.features1 = _scaled(features1)
        self.levels2 = [features2]
        self.radius = radius
        for _ in range(LEVELS - 1):
            self.levels2.append(F.avg_pool2d(self.levels2[-1], 2, stride=2))

    def lookup(self, coords: Tensor) -> Tensor:
        """See Correlation."""
        return lookup_on_demand(self.features1, self.levels2, coords, self.radius)


def _scaled(features: Tensor) -> Tensor:
    return features / math.sqrt(features.shape[1])


def _halve(level: Tensor) -> Tensor:
    batch, height, width, inner_height, inner_width = level.shape
    planes = level.view(batch * height * width, 1, inner_height, inner_width)
    halved = F.avg_pool2d(planes, 2, stride=2)
    return halved.view(batch, height, width, inner_height // 2, inner_width // 2)
