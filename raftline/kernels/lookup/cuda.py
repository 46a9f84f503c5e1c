"""The lookup on CUDA: `lookup.cu`."""

import numpy as np
import torch
from torch import Tensor

from raftline.kernels.cuda_kernel import NUMBER, CudaKernel

KERNEL = CudaKernel("lookup/lookup.cu", "lookup")
THREADS = 256
"""Of a block: a multiple of the warp's 32. Chosen by hand."""
LEVEL_SLOTS = 4
"""Levels that the kernel has parameters for; further ones are null."""


def lookup_cuda(levels: list[Tensor], coords: Tensor, radius: int, out_dtype: torch.dtype) -> Tensor:
    """As `raftline.kernels.lookup.lookup`, arguments already checked. Channels-last in memory."""
    batch, _, height, width = coords.shape
    pixels, windows = batch * height * width, batch * height * width * len(levels)
    out = torch.empty(batch, height, width, len(levels) * (2 * radius + 1) ** 2, dtype=out_dtype, device=coords.device)
    coords, strides = pixel_strides(coords)
    arguments = (
        *padded(levels),
        coords,
        out,
        *level_sizes(levels),
        *map(np.int64, strides),
        *map(np.int32, (pixels, height * width, len(levels), NUMBER[out_dtype])),
    )
    blocks = -(-windows // windows_per_block(radius))
    KERNEL.launch(coords.device, blocks, THREADS, arguments, ELEMENT=NUMBER[levels[0].dtype], RADIUS=radius)
    return out.permute(0, 3, 1, 2)


def windows_per_block(radius: int) -> int:
    """A warp serves as many windows as 2 * radius + 2 lanes fit into it."""
    return THREADS // 32 * (32 // (2 * radius + 2))


def padded(levels: list[Tensor]) -> list[Tensor | None]:
    """The levels and null pointers in the kernels' four places."""
    return [*levels, *[None] * (LEVEL_SLOTS - len(levels))]


def level_sizes(levels: list[Tensor]) -> list[np.int32]:
    """Four heights, then four widths."""
    unused = [1] * (LEVEL_SLOTS - len(levels))
    heights, widths = ([level.shape[axis] for level in levels] + unused for axis in (-2, -1))
    return [np.int32(size) for size in (*heights, *widths)]


def pixel_strides(coords: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
    """(B, 2, H, W) coordinates whose pixels lie evenly, copied where they do not; strides of image, axis and pixel."""
    image, axis, row, pixel = coords.stride()
    if row != coords.shape[3] * pixel:
        return pixel_strides(coords.contiguous())
    return coords, (image, axis, pixel)
