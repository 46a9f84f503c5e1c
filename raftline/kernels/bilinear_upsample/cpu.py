"""Bilinear upsampling on the CPU, straight into the layout of an image, in machine code made by numba at first use."""

import numpy as np
import torch
from torch import Tensor

from raftline.kernels.compiled import compiled
from raftline.kernels.cpu_threads import in_threads
from raftline.kernels.crop import Crop


def bilinear_upsample_cpu(flow: Tensor, crop: Crop, dtype: torch.dtype) -> Tensor:
    """As `raftline.kernels.bilinear_upsample.bilinear_upsample`, arguments already checked."""
    batch = flow.shape[0]
    coarse = flow.detach().permute(0, 2, 3, 1).contiguous().numpy()
    # By numpy, which asks for huge pages where torch does not: first writes to small ones are slow.
    out = np.empty((batch, crop.height, crop.width, 2), np.float32)
    rows = batch * crop.height
    in_threads(lambda begin, end: _upsample_rows(coarse, out, crop.top, crop.left, begin, end), rows)
    return torch.from_numpy(out).permute(0, 3, 1, 2).to(dtype)


@compiled
def _upsample_rows(flow, out, top, left, begin, end):  # type: ignore[no-untyped-def]
    """Rows begin to end of all images' rows. flow (B, H, W, 2), out (B, h, w, 2), float32."""
    height, width = flow.shape[1:3]
    out_height, out_width = out.shape[1:3]
    one = np.float32(1)
    pixels_per_cell = np.float32(8)
    step_y = np.float32(height - 1) / np.float32(8 * height - 1)
    step_x = np.float32(width - 1) / np.float32(8 * width - 1)
    columns = np.empty(out_width, np.int64)
    shares = np.empty(out_width, np.float32)
    for x in range(out_width):
        at = np.float32(left + x) * step_x
        columns[x] = int(at)
        shares[x] = at - np.float32(columns[x])
    line = np.empty((width + 1, 2), np.float32)  # a row of cells at the height of a row of pixels; the last twice
    for number in range(begin, end):
        image = number // out_height
        y = number % out_height
        at = np.float32(top + y) * step_y
        i = int(at)
        below = min(i + 1, height - 1)
        share = at - np.float32(i)
        for j in range(width):
            for axis in range(2):
                line[j, axis] = pixels_per_cell * (
                    flow[image, i, j, axis] * (one - share) + flow[image, below, j, axis] * share
                )
        line[width] = line[width - 1]
        for x in range(out_width):
            j = columns[x]
            out[image, y, x, 0] = line[j, 0] * (one - shares[x]) + line[j + 1, 0] * shares[x]
            out[image, y, x, 1] = line[j, 1] * (one - shares[x]) + line[j + 1, 1] * shares[x]
