"""The lookup on the CPU, in machine code made by numba at first use."""

import numpy as np
import torch
from torch import Tensor

from raftline.kernels.compiled import compiled
from raftline.kernels.cpu_threads import in_threads
from raftline.kernels.windows_cpu import find_corners, mix_windows, rows_of

_PIXELS_AT_ONCE = 512
"""So that their windows are still in the cache when they are mixed."""


def lookup_cpu(levels: list[Tensor], coords: Tensor, radius: int) -> Tensor:
    """As `raftline.kernels.lookup.lookup`, for float32 on the CPU, arguments already checked.

    The result is channels-last in memory: a pixel's channels lie together, as the loop writes them and as the
    convolution after it reads them fastest.
    """
    batch, _, height, width = coords.shape
    pixels = batch * height * width
    out = torch.empty(batch, height, width, len(levels) * (2 * radius + 1) ** 2)
    xy = rows_of(coords).reshape(pixels, 2)
    channels = out.view(pixels, -1).numpy()
    planes = [level.view(pixels, *level.shape[3:]).numpy() for level in levels]

    def run(begin: int, end: int) -> None:
        corners = np.empty((_PIXELS_AT_ONCE, 2), np.int32)
        windows = np.empty((_PIXELS_AT_ONCE, (2 * radius + 2) ** 2), np.float32)
        for first in range(begin, end, _PIXELS_AT_ONCE):
            here = slice(first, min(first + _PIXELS_AT_ONCE, end))
            for number, plane in enumerate(planes):
                find_corners(xy[here], number, radius, plane.shape[1:], corners)
                _gather(plane[here], corners, 2 * radius + 2, windows)
                mix_windows(windows, xy[here], number, radius, channels[here])

    in_threads(run, pixels)
    return out.permute(0, 3, 1, 2)


@compiled
def _gather(planes, corners, cells, windows):  # type: ignore[no-untyped-def]
    """planes (N, h, w) float32, corners (at least N, 2) int32 -> windows (at least N, cells * cells) float32."""
    count, height, width = planes.shape
    zero = np.float32(0)
    for pixel in range(count):
        left = corners[pixel, 0]
        top = corners[pixel, 1]
        window = windows[pixel]
        if left >= 0 and top >= 0 and left + cells <= width and top + cells <= height:
            for j in range(cells):
                row = planes[pixel, top + j, left : left + cells]
                for i in range(cells):
                    window[i * cells + j] = row[i]
        else:
            for i in range(cells):
                for j in range(cells):
                    inside = left + i >= 0 and left + i < width and top + j >= 0 and top + j < height
                    window[i * cells + j] = planes[pixel, top + j, left + i] if inside else zero
