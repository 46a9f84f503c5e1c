"""Means over blocks, beside NumPy's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from raftline.flow.block_means import block_means


@pytest.mark.parametrize("shape", [(36, 64), (37, 61), (9, 16)])
def test_blocks_take_in_every_pixel_once(shape: tuple[int, int]) -> None:
    plane, other = np.random.default_rng(0).integers(0, 256, (2, *shape), np.uint8)
    rows, columns = 9, 16
    y, x = (np.arange(count + 1) * side // count for count, side in zip((rows, columns), shape, strict=True))
    for found, values in (
        (block_means(plane, rows, columns), plane),
        (
            block_means(cv2.absdiff(plane, other).astype(np.uint8, copy=False), rows, columns),
            np.abs(plane.astype(int) - other),
        ),
    ):
        blocks = [[values[y[i] : y[i + 1], x[j] : x[j + 1]].mean() for j in range(columns)] for i in range(rows)]
        np.testing.assert_allclose(found, blocks, rtol=1e-6)
