"""Windows of correlation on the CPU: where they lie and how they are mixed, for both lookups.

The window of a pixel in a level is the (2r+2) x (2r+2) cells around its coordinates, x outer; mixed bilinearly they
give (2r+1) x (2r+1) values. Between finding the corners and mixing, each lookup fetches the cells in its own way.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from raftline.kernels.compiled import compiled

Array = npt.NDArray[Any]


def rows_of(planes: Tensor) -> Array:
    """(B, C, H, W) -> (B, H * W, C), a copy unless it is channels-last in memory."""
    return planes.permute(0, 2, 3, 1).contiguous().flatten(1, 2).numpy()


def find_corners(xy: Array, level: int, radius: int, size: tuple[int, ...], corners: Array) -> None:
    """Find the column and the row of the first cell of each window.

    Args:
        xy: (N, 2) float32, coordinates in cells of level 0.
        level, size: the number of the level, and its height and width in cells.
        corners: (N, 2) int32, written. A window that lies completely outside, or whose place is not defined, gets a
            corner from which every cell is outside.
    """
    _find_corners(xy, np.float32(0.5**level), radius, size[0], size[1], corners)


def mix_windows(windows: Array, xy: Array, level: int, radius: int, out: Array) -> None:
    """Interpolate the values between the cells.

    Args:
        windows: (N, (2r+2)**2) float32.
        xy: (N, 2) float32, coordinates in cells of level 0.
        level: the number of the level.
        out: (N, levels * (2r+1)**2) float32, of which this level's channels are written.
    """
    _mix_windows(windows, xy, np.float32(0.5**level), radius, out, level * (2 * radius + 1) ** 2)


@compiled
def _find_corners(xy, scale, radius, height, width, corners):  # type: ignore[no-untyped-def]
    outside = -2 * radius - 2
    for pixel in range(xy.shape[0]):
        x = xy[pixel, 0] * scale
        y = xy[pixel, 1] * scale
        # Written so that NaN, for which every comparison is false, is outside too.
        if x > -radius - 1 and x < width + radius and y > -radius - 1 and y < height + radius:
            corners[pixel, 0] = math.floor(x) - radius
            corners[pixel, 1] = math.floor(y) - radius
        else:
            corners[pixel, 0] = outside
            corners[pixel, 1] = outside


@compiled
def _mix_windows(windows, xy, scale, radius, out, first_channel):  # type: ignore[no-untyped-def]
    values = 2 * radius + 1
    cells = values + 1
    zero = np.float32(0)
    one = np.float32(1)
    for pixel in range(xy.shape[0]):
        x = xy[pixel, 0] * scale
        y = xy[pixel, 1] * scale
        fx = np.float32(x - math.floor(x))
        fy = np.float32(y - math.floor(y))
        if not (fx >= zero and fx <= one and fy >= zero and fy <= one):  # no place: the window is zero, and stays so
            fx = zero
            fy = zero
        left_top = (one - fx) * (one - fy)
        left_bottom = (one - fx) * fy
        right_top = fx * (one - fy)
        right_bottom = fx * fy
        # Slices without a gap, which the compiler turns into vector instructions.
        for column in range(values):
            begin = first_channel + column * values
            mixed = out[pixel, begin : begin + values]
            left = windows[pixel, column * cells : (column + 1) * cells]
            right = windows[pixel, (column + 1) * cells : (column + 2) * cells]
            for row in range(values):
                top = left_top * left[row] + right_top * right[row]
                mixed[row] = top + left_bottom * left[row + 1] + right_bottom * right[row + 1]
