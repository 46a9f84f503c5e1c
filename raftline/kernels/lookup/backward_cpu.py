"""The gradient of the lookup on the CPU: one pass over the pixels in machine code made by numba at first use."""

import math

import numpy as np
from torch import Tensor

from raftline.kernels.compiled import compiled
from raftline.kernels.cpu_threads import in_threads


def lookup_backward_cpu(gradient: Tensor, coords: Tensor, radius: int, levels: list[Tensor]) -> None:
    """As `raftline.kernels.lookup.gradient.lookup_backward`, for float32 on the CPU."""
    batch, _, height, width = coords.shape
    pixels = batch * height * width
    per_level = (2 * radius + 1) ** 2
    channels = gradient.float().permute(0, 2, 3, 1).contiguous().view(pixels, -1).numpy()
    xy = coords.detach().permute(0, 2, 3, 1).contiguous().view(pixels, 2).numpy()
    planes = [level.view(pixels, *level.shape[3:]).numpy() for level in levels]

    def run(begin: int, end: int) -> None:
        for number, plane in enumerate(planes):
            _add_pixels(plane, xy, np.float32(0.5**number), radius, channels, number * per_level, begin, end)

    in_threads(run, pixels)


@compiled
def _add_pixels(plane, xy, scale, radius, gradient, first_channel, begin, end):  # type: ignore[no-untyped-def]
    """One level for pixels begin to end, added to plane (N, h, w). xy (N, 2), gradient (N, channels): all float32.

    A pixel has a plane of its own, so that threads which share the pixels out never meet.
    """
    height = plane.shape[1]
    width = plane.shape[2]
    side = 2 * radius + 1
    one = np.float32(1)
    across = np.zeros((side + 2, side + 1), np.float32)  # its first and last rows stay zero
    for pixel in range(begin, end):
        x = xy[pixel, 0] * scale
        y = xy[pixel, 1] * scale
        # Written so that NaN, for which every comparison is false, is outside too.
        if not (x > -radius - 1 and x < width + radius and y > -radius - 1 and y < height + radius):
            continue
        left = math.floor(x) - radius
        top = math.floor(y) - radius
        fx = np.float32(x - math.floor(x))
        fy = np.float32(y - math.floor(y))
        for j in range(side):
            for i in range(side + 1):
                across[j + 1, i] = np.float32(0)
        for i in range(side):
            for j in range(side):
                value = gradient[pixel, first_channel + i * side + j]
                across[j + 1, i] += value * (one - fx)
                across[j + 1, i + 1] += value * fx
        for j in range(max(0, -top), min(side + 1, height - top)):
            for i in range(max(0, -left), min(side + 1, width - left)):
                plane[pixel, top + j, left + i] += across[j + 1, i] * (one - fy) + across[j, i] * fy
