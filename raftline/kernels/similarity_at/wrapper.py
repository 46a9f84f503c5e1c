"""Similarity of two frames' features along a flow: check the arguments, then run the implementation for the device.

`reference.py` defines the result and runs on CUDA as it is; the kernel is `cpu.py`. No gradients.
"""

import torch
from torch import Tensor

from raftline.kernels.choice import kernel_choice
from raftline.kernels.maps import check_maps
from raftline.kernels.similarity_at import reference
from raftline.kernels.similarity_at.cpu import similarity_at_cpu


def similarity_at(features1: Tensor, features2: Tensor, flow: Tensor) -> Tensor:
    """Compute the cosine similarity of each cell with the place its flow leads to: bilinear, 0 outside.

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
