"""Carrying a flow forward on CUDA: `forward_splat.cu`."""

import numpy as np
import torch
from torch import Tensor

from raftline.kernels.cuda_kernel import CudaKernel
from raftline.kernels.forward_splat.reference import Carried

LAND = CudaKernel("forward_splat/forward_splat.cu", "forward_splat_land")
CARRY = CudaKernel("forward_splat/forward_splat.cu", "forward_splat_carry")
_LAND_THREADS = 256
"""Of a block: a multiple of the warp's 32. Chosen by hand."""
_CARRY_THREADS = 1024
"""The most that a block may have: one block walks over a whole channel."""


def forward_splat_cuda(flow: Tensor, error: Tensor | None, values: Tensor | None) -> Carried:
    """As `raftline.kernels.forward_splat.forward_splat`, arguments already checked.

    Three launches (one sets memory to zero), and one more where the channels do not lie in planes already. No wait for
    the device, so it can be captured into a graph.
    """
    images, _, height, width = flow.shape
    device, cells = flow.device, height * width
    channels = flow.float() if values is None else torch.cat([flow.float(), values.float()], dim=1)
    channels = channels.contiguous()
    errors = None if error is None else error.float().contiguous()
    count = channels.shape[1]
    pyramid = _pyramid_cells(height, width)
    zeroed = torch.zeros(images * cells + -(-images * pyramid // 8), dtype=torch.int64, device=device)
    winner, marks = zeroed[: images * cells], zeroed[images * cells :].view(torch.uint8)
    coarse = torch.empty(images, count, pyramid - cells, device=device)
    carried = torch.empty_like(channels)
    size = (np.int32(count), np.int32(height), np.int32(width))
    blocks = -(-images * cells // _LAND_THREADS)
    LAND.launch(device, blocks, _LAND_THREADS, (channels, errors, winner, marks, np.int32(images), *size))
    CARRY.launch(device, images * count, _CARRY_THREADS, (channels, winner, marks, coarse, carried, *size))
    landed = marks[: images * pyramid].view(images, pyramid)[:, :cells].view(torch.bool)
    rest = None if values is None else carried[:, 2:].to(values.dtype)
    return Carried(carried[:, :2], rest, landed.unflatten(1, (1, height, width)))


def _pyramid_cells(height: int, width: int) -> int:
    """Cells of all levels down to 1x1, each half the one below, rounded up."""
    cells = height * width
    while height > 1 or width > 1:
        height, width = (height + 1) // 2, (width + 1) // 2
        cells += height * width
    return cells
