"""The gradient of the lookup on CUDA: `lookup_backward.cu`."""

import numpy as np
from torch import Tensor

from raftline.kernels.cuda_kernel import NUMBER, CudaKernel
from raftline.kernels.lookup.cuda import THREADS, level_sizes, padded, pixel_strides, windows_per_block

KERNEL = CudaKernel("lookup/lookup_backward.cu", "lookup_backward")


def lookup_backward_cuda(gradient: Tensor, coords: Tensor, radius: int, levels: list[Tensor]) -> None:
    """As `raftline.kernels.lookup.gradient.lookup_backward`."""
    batch, _, height, width = coords.shape
    pixels, windows = batch * height * width, batch * height * width * len(levels)
    coords, strides = pixel_strides(coords)
    arguments = (
        *padded(levels),
        coords,
        gradient.permute(0, 2, 3, 1).contiguous(),
        *level_sizes(levels),
        *map(np.int64, strides),
        *map(np.int32, (pixels, height * width, len(levels), NUMBER[gradient.dtype])),
    )
    blocks = -(-windows // windows_per_block(radius))
    KERNEL.launch(coords.device, blocks, THREADS, arguments, ELEMENT=NUMBER[levels[0].dtype], RADIUS=radius)
