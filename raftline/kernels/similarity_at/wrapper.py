"""How alike two frames' features are along a flow: checks at the door, then the kernel.

Its meaning is `raftline.kernels.similarity_at.reference.similarity_at`, which runs on CUDA as it is; the kernel is
`cpu.py`.
"""

import torch
from torch import Tensor

from raftline.kernels.choice import kernel_choice
from raftline.kernels.maps import check_maps
from raftline.kernels.similarity_at import reference
from raftline.kernels.similarity_at.cpu import similarity_at_cpu


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
    check_maps(features1=(features1, None), features2=(features2, None), flow=(flow, 2))
    numba = kernel_choice(features1.device).name == "numba"
    with torch.no_grad():
        return (similarity_at_cpu if numba else reference.similarity_at)(features1, features2, flow)
