"""The difference of features at points on the CPU, in machine code made by numba at first use.

Features are mixed, compared and projected channel by channel: nothing is written in between.
"""

import numpy as np
import torch
from torch import Tensor

from raftline.kernels.compiled import compiled
from raftline.kernels.cpu_threads import in_threads


def difference_at_cpu(here: Tensor, later: Tensor, there: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
    """As `raftline.kernels.difference_at.difference_at`, arguments already checked."""
    batch, guesses, _, points = there.shape
    squares = torch.empty(batch, guesses, points)
    products = torch.empty(batch, guesses, slopes.shape[1], points)
    arrays = [each.contiguous().numpy() for each in (here, later, there, slopes, squares, products)]
    for image in range(batch):
        of_image = [each[image] for each in arrays]

        def run(begin: int, end: int, of_image: list[np.ndarray] = of_image) -> None:
            own, others, places, directions, square, product = of_image
            _compare(own, others, places, directions, square, product, begin, end)

        in_threads(run, points)
    return squares, products


@compiled(fastmath={"reassoc", "contract", "nsz"})
def _compare(here, later, there, slopes, squares, products, begin, end):  # type: ignore[no-untyped-def]
    """here (S, C), later (h, w, C), there (K, 2, S), slopes (D, S, C), squares (K, S), products (K, D, S): float32."""
    height, width, channels = later.shape
    difference = np.empty(channels, np.float32)
    for guess in range(there.shape[0]):
        for point in range(begin, end):
            x = min(max(there[guess, 0, point], np.float32(0)), np.float32(width - 1))
            y = min(max(there[guess, 1, point], np.float32(0)), np.float32(height - 1))
            left, top = int(x), int(y)
            right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
            right_share, lower_share = np.float32(x - left), np.float32(y - top)
            a = np.float32((1 - lower_share) * (1 - right_share))
            b = np.float32((1 - lower_share) * right_share)
            c = np.float32(lower_share * (1 - right_share))
            d = np.float32(lower_share * right_share)
            square = np.float32(0)
            for channel in range(channels):
                off = here[point, channel] - (
                    a * later[top, left, channel]
                    + b * later[top, right, channel]
                    + c * later[bottom, left, channel]
                    + d * later[bottom, right, channel]
                )
                difference[channel] = off
                square += off * off
            squares[guess, point] = square
            for direction in range(slopes.shape[0]):
                product = np.float32(0)
                for channel in range(channels):
                    product += slopes[direction, point, channel] * difference[channel]
                products[guess, direction, point] = product
