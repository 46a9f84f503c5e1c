"""The lookup on demand on the CPU, in machine code made by numba at first use."""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stages.kernels.compiled import compiled
from stages.kernels.cpu_threads import in_threads


def lookup_on_demand_cpu(features1: Tensor, levels2: list[Tensor], coords: Tensor, radius: int) -> Tensor:
    """As `stages.kernels.lookup_on_demand.lookup_on_demand`, arguments already checked."""
    batch, channels, height, width = features1.shape
    plane = height * width
    per_level = (2 * radius + 1) ** 2
    out = torch.empty(batch, height, width, len(levels2) * per_level)
    rows1 = features1.permute(0, 2, 3, 1).contiguous().view(batch, plane, channels).numpy()
    rows2 = [level.permute(0, 2, 3, 1).contiguous().numpy() for level in levels2]
    xy = coords.permute(0, 2, 3, 1).contiguous().view(batch, plane, 2).numpy()
    windows = out.view(batch, plane, -1).numpy()
    kernel = _kernel()
    for image in range(batch):

        def run(begin: int, end: int, image: int = image) -> None:
            for number, level in enumerate(rows2):
                scale, first = np.float32(0.5**number), number * per_level
                kernel(rows1[image], level[image], xy[image], scale, radius, windows[image], first, begin, end)

        in_threads(run, plane)
    return out.permute(0, 3, 1, 2)


@functools.lru_cache(maxsize=1)
def _kernel() -> Callable[..., Any]:
    # The sum of a dot product may be taken in any order, so that it fills the vector registers. Nothing is said
    # about NaN and infinities: they must stay what they are.
    return compiled(_lookup_pixels, fastmath={"reassoc", "contract", "nsz"})


def _lookup_pixels(features1, features2, xy, scale, radius, out, first_channel, begin, end):  # type: ignore[no-untyped-def]
    """One level for pixels begin to end.

    features1 (N, C), features2 (h, w, C), xy (N, 2), out (N, channels), scale: all float32.
    """
    height = features2.shape[0]
    width = features2.shape[1]
    channels = features1.shape[1]
    side = 2 * radius + 1
    zero = np.float32(0)
    one = np.float32(1)
    window = np.empty((side + 1, side + 1), np.float32)
    for pixel in range(begin, end):
        x = xy[pixel, 0] * scale
        y = xy[pixel, 1] * scale
        # Written so that NaN, for which every comparison is false, is outside too.
        if not (x > -radius - 1 and x < width + radius and y > -radius - 1 and y < height + radius):
            for channel in range(side * side):
                out[pixel, first_channel + channel] = zero
            continue
        left = math.floor(x) - radius
        top = math.floor(y) - radius
        fx = np.float32(x - math.floor(x))
        fy = np.float32(y - math.floor(y))
        for j in range(side + 1):
            row = top + j
            for i in range(side + 1):
                column = left + i
                dot = zero
                if row >= 0 and row < height and column >= 0 and column < width:
                    for channel in range(channels):
                        dot += features1[pixel, channel] * features2[row, column, channel]
                window[j, i] = dot
        for j in range(side + 1):
            for i in range(side):
                window[j, i] = window[j, i] * (one - fx) + window[j, i + 1] * fx
        for i in range(side):
            for j in range(side):
                out[pixel, first_channel + i * side + j] = window[j, i] * (one - fy) + window[j + 1, i] * fy
