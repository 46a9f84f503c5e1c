"""The lookup on demand on the CPU, in machine code made by numba at first use."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from raftline.kernels.compiled import compiled
from raftline.kernels.cpu_threads import in_threads
from raftline.kernels.windows_cpu import Array, find_corners, mix_windows, rows_of

_NO_CORNER = np.iinfo(np.int32).min
"""Where nothing is kept: no window has this corner."""


@dataclass(frozen=True)
class KeptWindows:
    """The dot products of the windows of the last lookup, for successive lookups of one pair.

    While the coordinates of a pixel stay within one cell, its window stays the same, and only the interpolation
    changes. That holds for 99 % of the pixels from the third update on.
    """

    corners: list[Array]
    """Of each level, (B, H * W, 2) int32."""
    windows: list[Array]
    """Of each level, (B, H * W, (2r+2)**2) float32: 1 kB a pixel with four levels and radius 3."""

    @classmethod
    def none_yet(cls, batch: int, pixels: int, levels: int, radius: int) -> "KeptWindows":
        """Room for B images of H * W pixels."""
        return cls(
            [np.full((batch, pixels, 2), _NO_CORNER, np.int32) for _ in range(levels)],
            [np.empty((batch, pixels, (2 * radius + 2) ** 2), np.float32) for _ in range(levels)],
        )


def lookup_on_demand_cpu(
    features1: Tensor, levels2: list[Tensor], coords: Tensor, radius: int, kept: KeptWindows | None = None
) -> Tensor:
    """As `raftline.kernels.lookup_on_demand.lookup_on_demand`, arguments already checked."""
    batch, _, height, width = features1.shape
    pixels = height * width
    kept = kept or KeptWindows.none_yet(batch, pixels, len(levels2), radius)
    out = torch.empty(batch, height, width, len(levels2) * (2 * radius + 1) ** 2)
    channels = out.view(batch, pixels, -1).numpy()
    rows1, xy = rows_of(features1), rows_of(coords)
    rows2 = [rows_of(level).reshape(batch, *level.shape[2:], -1) for level in levels2]
    for image in range(batch):

        def run(begin: int, end: int, image: int = image) -> None:
            here = slice(begin, end)
            corners = np.empty((end - begin, 2), np.int32)
            for number, features2 in enumerate(rows2):
                find_corners(xy[image, here], number, radius, features2.shape[1:3], corners)
                kept_corners, windows = kept.corners[number][image, here], kept.windows[number][image, here]
                _multiply(rows1[image, here], features2[image], corners, kept_corners, 2 * radius + 2, windows)
                mix_windows(windows, xy[image, here], number, radius, channels[image, here])

        in_threads(run, pixels)
    return out.permute(0, 3, 1, 2)


# The sum of a dot product may be taken in any order, so that it fills the vector registers. Nothing is said
# about NaN and infinities: they must stay what they are.
@compiled(fastmath={"reassoc", "contract", "nsz"})
def _multiply(features1, features2, corners, kept_corners, cells, windows):  # type: ignore[no-untyped-def]
    """The dot products of every window whose corner is not the one that was kept.

    features1 (N, C), features2 (h, w, C), windows (N, cells * cells): float32; corners, kept_corners (N, 2) int32.
    """
    height, width, channels = features2.shape
    zero = np.float32(0)
    for pixel in range(features1.shape[0]):
        left = corners[pixel, 0]
        top = corners[pixel, 1]
        if left == kept_corners[pixel, 0] and top == kept_corners[pixel, 1]:
            continue
        kept_corners[pixel, 0] = left
        kept_corners[pixel, 1] = top
        for j in range(cells):
            row = top + j
            for i in range(cells):
                column = left + i
                dot = zero
                if row >= 0 and row < height and column >= 0 and column < width:
                    for channel in range(channels):
                        dot += features1[pixel, channel] * features2[row, column, channel]
                windows[pixel, i * cells + j] = dot
