"""Convex upsampling on CUDA: `convex_upsample.cu`."""

import numpy as np
import torch
from torch import Tensor

from raftline.kernels.crop import Crop
from raftline.kernels.cuda_kernel import NUMBER, CudaKernel

KERNEL = CudaKernel("convex_upsample/convex_upsample.cu", "convex_upsample")
_THREADS = 256
"""Of a block: a multiple of the warp's 32. Chosen by hand."""
_CELLS_PER_BLOCK = _THREADS // 32


def convex_upsample_cuda(flow: Tensor, mask: Tensor, crop: Crop, dtype: torch.dtype) -> Tensor:
    """As `raftline.kernels.convex_upsample.convex_upsample`, arguments already checked. One launch."""
    batch, _, height, width = flow.shape
    coarse = flow.permute(0, 2, 3, 1).contiguous()
    weights = mask.permute(0, 2, 3, 1).contiguous()
    if weights.data_ptr() % 8:  # the kernel loads pairs; torch's own allocations lie at multiples of 512
        weights = weights.clone()
    fine = torch.empty(batch, crop.height, crop.width, 2, dtype=dtype, device=flow.device)
    sizes = (batch, height, width, crop.top, crop.left, crop.height, crop.width)
    blocks = -(-batch * height * width // _CELLS_PER_BLOCK)
    arguments = (coarse, weights, fine, *map(np.int32, sizes))
    KERNEL.launch(flow.device, blocks, _THREADS, arguments, MASK=NUMBER[mask.dtype], FINE=NUMBER[dtype])
    return fine.permute(0, 3, 1, 2)
