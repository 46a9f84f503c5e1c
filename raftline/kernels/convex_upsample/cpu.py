"""Convex upsampling on the CPU: one pass over the mask in machine code made by numba at first use."""

import numpy as np
import torch
from torch import Tensor

from raftline.kernels.compiled import compiled
from raftline.kernels.cpu_threads import in_threads
from raftline.kernels.crop import Crop


def convex_upsample_cpu(flow: Tensor, mask: Tensor, crop: Crop, dtype: torch.dtype) -> Tensor:
    """As `raftline.kernels.convex_upsample.convex_upsample`, arguments already checked."""
    batch, _, height, width = flow.shape
    cells = batch * height * width
    coarse = flow.detach().permute(0, 2, 3, 1).contiguous().numpy()
    weights = mask.detach().float() if mask.dtype is torch.float16 else mask.detach()
    bits, shift = (torch.uint16, 16) if mask.dtype is torch.bfloat16 else (torch.uint32, 0)
    words = weights.permute(0, 2, 3, 1).contiguous().view(cells, -1).view(bits).numpy()
    # By numpy, which asks for huge pages where torch does not: first writes to small ones are slow.
    out = np.empty((batch, crop.height, crop.width, 2), np.float32)
    in_threads(lambda begin, end: _upsample_cells(coarse, words, shift, out, crop.top, crop.left, begin, end), cells)
    return torch.from_numpy(out).permute(0, 3, 1, 2).to(dtype)


@compiled(fastmath={"contract"})
def _upsample_cells(flow, words, shift, out, top, left, begin, end):  # type: ignore[no-untyped-def]
    """Cells begin to end. flow (B, H, W, 2), out (B, h, w, 2), float32.

    words (B * H * W, 576) are the bits of float32 (shift 0) or bfloat16 (shift 16): these are the upper half of those.
    The inner loops run over the 64 pixels of a cell, which fill the vector registers.
    """
    height, width = flow.shape[1:3]
    zero = np.float32(0)
    pixels_per_cell = np.float32(8)
    bits = np.empty((9, 64), np.uint32)
    mask = bits.view(np.float32)
    largest = np.empty(64, np.float32)
    total = np.empty(64, np.float32)
    fine = np.empty((2, 64), np.float32)
    for cell in range(begin, end):
        column = cell % width
        row = cell // width % height
        image = cell // (width * height)
        largest[:] = -np.inf
        for neighbour in range(9):
            for pixel in range(64):
                bits[neighbour, pixel] = np.uint32(words[cell, neighbour * 64 + pixel]) << np.uint32(shift)
            for pixel in range(64):
                weight = mask[neighbour, pixel]
                largest[pixel] = weight if weight > largest[pixel] else largest[pixel]
        total[:] = zero
        fine[:] = zero
        for neighbour in range(9):
            i = row + neighbour // 3 - 1
            j = column + neighbour % 3 - 1
            inside = i >= 0 and i < height and j >= 0 and j < width
            u = pixels_per_cell * flow[image, i, j, 0] if inside else zero
            v = pixels_per_cell * flow[image, i, j, 1] if inside else zero
            for pixel in range(64):
                # e to the power of the difference as 2**n * 2**f, |f| <= 0.5: the first an exponent put together from
                # bits, the second the polynomial of Cephes's exp2f, off by 2e-9. A call of exp would not be vectorised.
                power = (mask[neighbour, pixel] - largest[pixel]) * np.float32(1.44269504)
                power = np.float32(-126) if power < np.float32(-126) else power  # NaN stays NaN
                n = np.rint(power)
                f = power - n
                share = np.float32(1.535336188e-4)
                share = share * f + np.float32(1.339887441e-3)
                share = share * f + np.float32(9.618437358e-3)
                share = share * f + np.float32(5.550332471e-2)
                share = share * f + np.float32(2.402264791e-1)
                share = share * f + np.float32(6.931472028e-1)
                share = share * f + np.float32(1)
                share *= np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
                total[pixel] += share
                fine[0, pixel] += share * u
                fine[1, pixel] += share * v
        for y in range(max(top - 8 * row, 0), min(top + out.shape[1] - 8 * row, 8)):
            for x in range(max(left - 8 * column, 0), min(left + out.shape[2] - 8 * column, 8)):
                pixel = 8 * y + x
                out[image, 8 * row + y - top, 8 * column + x - left, 0] = fine[0, pixel] / total[pixel]
                out[image, 8 * row + y - top, 8 * column + x - left, 1] = fine[1, pixel] / total[pixel]
