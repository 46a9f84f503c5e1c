"""Similarity along a flow on the CPU, in machine code made by numba at first use.

All of a cell's channels lie together, where `grid_sample` goes through them one by one.
"""

import numpy as np
import torch
from torch import Tensor

from raftline.kernels.compiled import compiled
from raftline.kernels.cpu_threads import in_threads
from raftline.kernels.windows_cpu import rows_of


def similarity_at_cpu(features1: Tensor, features2: Tensor, flow: Tensor) -> Tensor:
    """As `raftline.kernels.similarity_at.similarity_at`, arguments already checked."""
    batch, _, height, width = features1.shape
    out = torch.empty(batch, 1, height, width)
    rows1, rows2, xy, values = rows_of(features1), rows_of(features2), rows_of(flow), out.view(batch, -1).numpy()
    for image in range(batch):
        cells2 = rows2[image].reshape(height, width, -1)

        def run(begin: int, end: int, image: int = image, cells2: np.ndarray = cells2) -> None:
            _compare_along(rows1[image], cells2, xy[image], begin, end, values[image])

        in_threads(run, height * width)
    return out


@compiled(fastmath={"reassoc", "contract", "nsz"})
def _compare_along(features1, features2, flow, begin, end, out):  # type: ignore[no-untyped-def]
    """features1 (N, C), features2 (h, w, C), flow (N, 2), out (N): float32; N = h * w."""
    height, width, channels = features2.shape
    for pixel in range(begin, end):
        x = pixel % width + flow[pixel, 0]
        y = pixel // width + flow[pixel, 1]
        out[pixel] = 0
        # False for NaN.
        if not (x > -1 and x < width and y > -1 and y < height):
            continue
        left = int(np.floor(x))
        top = int(np.floor(y))
        right_share = np.float32(x - left)
        lower_share = np.float32(y - top)
        # Of a corner outside, another cell is read with no weight.
        left_share = (1 - right_share) * (left >= 0)
        right_share *= left + 1 < width
        upper_share = (1 - lower_share) * (top >= 0)
        lower_share *= top + 1 < height
        column0, column1 = max(left, 0), min(left + 1, width - 1)
        row0, row1 = max(top, 0), min(top + 1, height - 1)
        a, b = np.float32(upper_share * left_share), np.float32(upper_share * right_share)
        c, d = np.float32(lower_share * left_share), np.float32(lower_share * right_share)
        dot = np.float32(0)
        square = np.float32(0)
        for channel in range(channels):
            there = (
                a * features2[row0, column0, channel]
                + b * features2[row0, column1, channel]
                + c * features2[row1, column0, channel]
                + d * features2[row1, column1, channel]
            )
            dot += features1[pixel, channel] * there
            square += there * there
        if square > 0:
            out[pixel] = dot / np.sqrt(square)
