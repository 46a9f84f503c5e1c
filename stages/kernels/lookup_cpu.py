"""The lookup on the CPU: one pass over the pixels in machine code made by numba at first use."""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stages.kernels.compiled import compiled
from stages.kernels.cpu_threads import in_threads


def lookup_cpu(levels: list[Tensor], coords: Tensor, radius: int) -> Tensor:
    """As `stages.kernels.lookup.lookup`, for float32 on the CPU, arguments already checked.

    The result is channels-last in memory: a pixel's channels lie together, as the loop writes them and as the
    convolution after it reads them fastest.
    """
    batch, _, height, width = coords.shape
    pixels = batch * height * width
    per_level = (2 * radius + 1) ** 2
    out = torch.empty(batch, height, width, len(levels) * per_level)
    xy = coords.permute(0, 2, 3, 1).contiguous().view(pixels, 2).numpy()
    channels = out.view(pixels, -1).numpy()
    planes = [level.view(pixels, *level.shape[3:]).numpy() for level in levels]
    kernel = _kernel()

    def run(begin: int, end: int) -> None:
        for number, plane in enumerate(planes):
            kernel(plane, xy, np.float32(0.5**number), radius, channels, number * per_level, begin, end)

    in_threads(run, pixels)
    return out.permute(0, 3, 1, 2)


@functools.lru_cache(maxsize=1)
def _kernel() -> Callable[..., Any]:
    return compiled(_lookup_pixels)


def _lookup_pixels(plane, xy, scale, radius, out, first_channel, begin, end):  # type: ignore[no-untyped-def]
    """One level for pixels begin to end. plane (N, h, w), xy (N, 2), out (N, channels), scale: all float32."""
    height = plane.shape[1]
    width = plane.shape[2]
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
        if left >= 0 and top >= 0 and left + side < width and top + side < height:
            for j in range(side + 1):
                for i in range(side + 1):
                    window[j, i] = plane[pixel, top + j, left + i]
        else:
            for j in range(side + 1):
                for i in range(side + 1):
                    inside = top + j >= 0 and top + j < height and left + i >= 0 and left + i < width
                    window[j, i] = plane[pixel, top + j, left + i] if inside else zero
        for j in range(side + 1):
            for i in range(side):
                window[j, i] = window[j, i] * (one - fx) + window[j, i + 1] * fx
        for i in range(side):
            for j in range(side):
                out[pixel, first_channel + i * side + j] = window[j, i] * (one - fy) + window[j + 1, i] * fy
