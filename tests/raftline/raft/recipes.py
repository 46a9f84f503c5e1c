"""Weights and images made by formula, the same on every machine and with every version of torch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from raftline.raft.model import Architecture, Raft


def numbered_weights(architecture: Architecture, seed: int = 0) -> dict[str, Tensor]:
    """Normal numbers over the square root of the fan-in, in order of the keys; norms near the identity.

    From NumPy's RandomState, whose stream is frozen by its promise of compatibility.
    """
    random = np.random.RandomState(seed)
    weights = {}
    for key, value in sorted(Raft(architecture).state_dict().items()):
        numbers = random.standard_normal(tuple(value.shape))
        if key.endswith("num_batches_tracked"):
            weights[key] = torch.zeros_like(value)
        elif key.endswith("running_var") or (value.ndim == 1 and key.endswith("weight")):
            weights[key] = torch.from_numpy(1 + 0.1 * np.tanh(numbers)).float()
        else:
            fan_in = int(np.prod(value.shape[1:])) or 1
            weights[key] = torch.from_numpy(numbers / np.sqrt(fan_in) if value.ndim > 1 else 0.1 * numbers).float()
    return weights


def texture(height: int, width: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """(H, W, 3) uint8: random colors in patches of 4 px; two seeds have nothing in common."""
    patches = np.random.RandomState(seed).randint(0, 256, (-(-height // 4), -(-width // 4), 3))
    return patches.astype(np.uint8).repeat(4, axis=0).repeat(4, axis=1)[:height, :width]


def waves(height: int, width: int, shift_px: float = 0.0) -> npt.NDArray[np.uint8]:
    """(H, W, 3) uint8: a smooth color pattern, moved to the right by `shift_px`."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    x = x - shift_px
    channels = [
        np.sin(x / 7) * np.cos(y / 11),
        np.sin((x + 2 * y) / 13) * np.cos(x / 5),
        np.cos((2 * x - y) / 17) * np.sin(y / 6),
    ]
    return np.round(127.5 + 100 * np.stack(channels, axis=2)).astype(np.uint8)
