"""Bilinear upsampling on CUDA: `bilinear_upsample.cu`."""

import numpy as np
import torch
from torch import Tensor

from raftline.kernels.crop import Crop
from raftline.kernels.cuda_kernel import NUMBER, CudaKernel

KERNEL = CudaKernel("bilinear_upsample/bilinear_upsample.cu", "bilinear_upsample")
_THREADS = 256
"""Of a block: a multiple of the warp's 32. Chosen by hand."""


def bilinear_upsample_cuda(flow: Tensor, crop: Crop, dtype: torch.dtype) -> Tensor:
    """As `raftline.kernels.bilinear_upsample.bilinear_upsample`, arguments already checked. One launch."""
    batch, _, height, width = flow.shape
    coarse = flow.permute(0, 2, 3, 1).contiguous()
    if coarse.data_ptr() % 8:  # the kernel loads pairs; torch's own allocations lie at multiples of 512
        coarse = coarse.clone()
    fine = torch.empty(batch, crop.height, crop.width, 2, dtype=dtype, device=flow.device)
    sizes = (batch, height, width, crop.top, crop.left, crop.height, crop.width)
    blocks = -(-batch * crop.height * crop.width // _THREADS)
    KERNEL.launch(flow.device, blocks, _THREADS, (coarse, fine, *map(np.int32, sizes)), FINE=NUMBER[dtype])
    return fine.permute(0, 3, 1, 2)
