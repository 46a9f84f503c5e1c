"""What the lookup on demand means, in plain torch."""

import torch
from torch import Tensor

from raftline.kernels.lookup.reference import lookup


def lookup_on_demand(features1: Tensor, levels2: list[Tensor], coords: Tensor, radius: int) -> Tensor:
    """Look up dot products of features.

    Averaging the dot products over cells, as the pyramid does, is the dot product with the averaged features.

    Args:
        features1: (B, C, H, W) of the earlier frame, already divided by sqrt(C).
        levels2: level l is (B, C, h_l, w_l), the later frame's features averaged over 2**l x 2**l cells.
        coords, radius: as in `lookup`.

    Returns:
        As `lookup`.
    """
    volumes = [torch.einsum("bcij,bckl->bijkl", features1, features2) for features2 in levels2]
    return lookup(volumes, coords, radius)
