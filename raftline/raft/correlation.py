"""Correlation of the features of two frames, and its pyramid (section 3.2 of arXiv 2003.12039), held in two ways.

A level of the pyramid averages dot products over 1, 2, 4, 8 cells of the later frame. That equals the dot product
with averaged features, so both ways begin by averaging the features of the later frame. They differ in when the dot
products are computed: all in advance, or when they are looked up.
"""

import math
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from raftline.kernels.lookup import lookup
from raftline.kernels.lookup.gradient import SharedLevels
from raftline.kernels.lookup_on_demand import lookup_on_demand, room_for_windows, supports
from raftline.raft.choices import CorrelationChoice, CorrelationMode

LEVELS = 4
"""The paper's pyramid (arXiv 2003.12039, section 3.2)."""

_SHARE_OF_FREE_MEMORY = 0.5
"""Share of a GPU's free memory that the volume may take: the encoders of the next frames need some too. Chosen by
hand."""


class Correlation(Protocol):
    """What the updates need of it."""

    radius: int

    def lookup(self, coords: Tensor) -> Tensor:
        """Look up coords (B, 2, H, W), (x, y) in cells; returns (B, LEVELS * (2r+1)^2, H, W)."""
        ...


def choose_correlation(
    device: torch.device, pairs: int, height: int, width: int, dtype: torch.dtype, asked: CorrelationChoice = "auto"
) -> CorrelationMode:
    """Choose how to hold the correlation of `pairs` pairs of height x width cells.

    On a CPU always on demand: a volume that does not fit the caches is slower to read than to compute. On a GPU all
    pairs, if the volume takes no more than half of the free memory.

    Raises:
        ValueError: "on-demand" was asked for and there is no kernel for it on the device.
    """
    if asked == "on-demand" and not supports(device):
        raise ValueError(f"correlation 'on-demand': there is no kernel for it on {device}. Use auto or all-pairs")
    if asked != "auto":
        return asked
    if not supports(device):
        return "all-pairs"
    if device.type != "cuda":
        return "on-demand"
    free = _free_bytes(device)
    return "all-pairs" if volume_bytes(pairs, height, width, dtype) <= _SHARE_OF_FREE_MEMORY * free else "on-demand"


def volume_bytes(pairs: int, height: int, width: int, dtype: torch.dtype) -> int:
    """Compute the size of all levels of the all-pairs volume."""
    cells = sum((height >> level) * (width >> level) for level in range(LEVELS))
    return pairs * height * width * cells * dtype.itemsize


def correlate(
    features1: Tensor, features2: Tensor, radius: int, mode: CorrelationMode | None = None, both_ways: bool = False
) -> Correlation:
    """Correlate B pairs.

    Args:
        features1, features2: (B, C, H, W) of the earlier and the later frame.
        radius: of the lookup window, in cells of each level.
        mode: None lets `choose_correlation` decide. Where gradients are wanted it is all-pairs in any case.
        both_ways: 2B pairs instead; the second B look up from the later frame in the earlier one.
    """
    if torch.is_grad_enabled() and (features1.requires_grad or features2.requires_grad):
        mode = "all-pairs"
    if mode is None:
        batch, _, height, width = features1.shape
        pairs = 2 * batch if both_ways else batch
        mode = choose_correlation(features1.device, pairs, height, width, features1.dtype)
    made = AllPairsCorrelation if mode == "all-pairs" else OnDemandCorrelation
    return made(features1, features2, radius, both_ways)


class AllPairsCorrelation:
    """Dot products of every feature of one frame with every feature of the next, averaged over 1, 2, 4, 8 cells.

    Level l is a (B, H, W, H >> l, W >> l) tensor: first the pixel that looks up, then the cells that it compares
    with. Memory is quadratic in the pixels: 4/3 * (H * W)^2 numbers. The finest level of the way back, three quarters
    of the arithmetic, is that of the way forth, transposed.
    """

    def __init__(self, features1: Tensor, features2: Tensor, radius: int, both_ways: bool = False) -> None:
        self.radius = radius
        self.levels = [_volume(features1, level) for level in feature_pyramid(features2)]
        if both_ways:
            back = [_volume(features2, level) for level in feature_pyramid(features1)[1:]]
            self.levels = [
                torch.cat([forth, back[number - 1] if number else forth.permute(0, 3, 4, 1, 2)])
                for number, forth in enumerate(self.levels)
            ]
        if torch.is_grad_enabled():
            self.levels = SharedLevels(self.levels)

    def lookup(self, coords: Tensor) -> Tensor:
        """See Correlation."""
        return lookup(self.levels, coords, self.radius)


class OnDemandCorrelation:
    """The features, and the later frame's averaged over 1, 2, 4, 8 cells. Memory is linear in the pixels."""

    def __init__(self, features1: Tensor, features2: Tensor, radius: int, both_ways: bool = False) -> None:
        self.radius = radius
        looking, seen = features1, features2
        if both_ways:
            looking, seen = torch.cat([features1, features2]), torch.cat([features2, features1])
        self.features1 = _scaled(looking)
        self.levels2 = feature_pyramid(seen)
        self._kept = room_for_windows(self.features1, LEVELS, radius)

    def lookup(self, coords: Tensor) -> Tensor:
        """See Correlation."""
        return lookup_on_demand(self.features1, self.levels2, coords, self.radius, kept=self._kept)


def feature_pyramid(features: Tensor) -> list[Tensor]:
    """(B, C, H, W) -> LEVELS tensors, averaged over 1, 2, 4, 8 cells; a last odd row or column is left out."""
    levels = [features]
    for _ in range(LEVELS - 1):
        levels.append(F.avg_pool2d(levels[-1], 2, stride=2))
    return levels


def _volume(features1: Tensor, features2: Tensor) -> Tensor:
    batch, _, height, width = features1.shape
    rows = _scaled(features1).flatten(2).transpose(1, 2)
    return torch.matmul(rows, features2.flatten(2)).view(batch, height, width, *features2.shape[2:])


def _scaled(features: Tensor) -> Tensor:
    return features / math.sqrt(features.shape[1])


def _free_bytes(device: torch.device) -> int:
    free, _ = torch.cuda.mem_get_info(device)
    # What torch's allocator holds and nothing uses is free as well.
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
