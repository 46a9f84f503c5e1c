"""All-pairs correlation and its pyramid (section 3.2 of arXiv 2003.12039)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from stages.kernels.lookup import lookup

LEVELS = 4


class CorrelationPyramid:
    """Dot products of every feature of one frame with every feature of the next, averaged over 1, 2, 4, 8 cells.

    Level l is a (B, H, W, H >> l, W >> l) tensor: the earlier frame's pixel first, the later frame's after it.
    """

    def __init__(self, levels: list[Tensor], radius: int) -> None:
        self.levels = levels
        self.radius = radius

    @classmethod
    def between(cls, features1: Tensor, features2: Tensor, radius: int) -> "CorrelationPyramid":
        """features1, features2: (B, C, H, W) of the earlier and the later frame."""
        volume = _all_pairs(features1, features2)
        levels = [volume]
        for _ in range(LEVELS - 1):
            levels.append(_halve(levels[-1]))
        return cls(levels, radius)

    def lookup(self, coords: Tensor) -> Tensor:
        """coords (B, 2, H, W), (x, y) in cells -> (B, LEVELS * (2r+1)^2, H, W)."""
        return lookup(self.levels, coords, self.radius)


def _all_pairs(features1: Tensor, features2: Tensor) -> Tensor:
    batch, channels, height, width = features1.shape
    rows = features1.flatten(2).transpose(1, 2) / math.sqrt(channels)
    columns = features2.flatten(2)
    return torch.matmul(rows, columns).view(batch, height, width, height, width)


def _halve(level: Tensor) -> Tensor:
    batch, height, width, inner_height, inner_width = level.shape
    planes = level.view(batch * height * width, 1, inner_height, inner_width)
    halved = F.avg_pool2d(planes, 2, stride=2)
    return halved.view(batch, height, width, inner_height // 2, inner_width // 2)
