"""How alike two frames' features are along a flow: checks at the door, then the kernel.

Its meaning is `stages.kernels.reference.similarity_at`, which runs on CUDA as it is; the kernel is
`similarity_at_cpu.py`.
"""

import torch
from torch import Tensor

from stages.kernels import reference
from stages.kernels.lookup import lookup_choice
from stages.kernels.similarity_at_cpu import similarity_at_cpu


def similarity_at(features1: Tensor, features2: Tensor, flow: Tensor) -> Tensor:
    """Cosine similarity of each cell with the place its flow leads to, bilinear; 0 outside. No gradients.

    Args:
        features1, features2: (B, C, H, W) float32 of the earlier and the later frame, of length 1 over C.
        flow: (B, 2, H, W) float32 in cells.

    Returns:
        (B, 1, H, W) float32, -1 to 1.

    Raises:
        ValueError: wrong device, dtype or shape, with what was found and what is expected.
    """
    check_pair(features1, features2, flow=flow)
    numba = lookup_choice(features1.device).name == "numba"
    with torch.no_grad():
        return (similarity_at_cpu if numba else reference.similarity_at)(features1, features2, flow)


def check_pair(features1: Tensor, features2: Tensor, **maps: Tensor) -> None:
    """Raises ValueError where they do not go together. maps: `flow`, of two channels, and others of one."""
    if features1.ndim != 4 or 0 in features1.shape:
        raise ValueError(f"features1: expected shape (B, C, H, W), none of them 0; found {tuple(features1.shape)}")
    batch, features, height, width = features1.shape
    for name, tensor in {"features1": features1, "features2": features2, **maps}.items():
        channels = 2 if name == "flow" else 1 if name in maps else features
        expected = (batch, channels, height, width)
        if tuple(tensor.shape) != expected:
            raise ValueError(f"{name}: expected shape {expected}, found {tuple(tensor.shape)}")
        if tensor.dtype is not torch.float32:
            raise ValueError(f"{name}: expected float32, found {tensor.dtype}")
        if tensor.device != features1.device:
            raise ValueError(f"{name}: on {tensor.device}, but features1 is on {features1.device}; move one")
