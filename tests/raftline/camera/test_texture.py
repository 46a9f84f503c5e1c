from __future__ import annotations

import cv2
import numpy as np
import pytest

from raftline.camera.texture import texture_weights


def weights_from_whole_images(luma: np.ndarray) -> np.ndarray:
    """The same from images of gradients and their products, one after the other."""
    rows, columns = -(-luma.shape[0] // 8), -(-luma.shape[1] // 8)
    padded = np.pad(luma, ((0, rows * 8 - luma.shape[0]), (0, columns * 8 - luma.shape[1])), "edge")
    half = cv2.resize(padded, (columns * 4, rows * 4), interpolation=cv2.INTER_AREA)
    smooth = cv2.GaussianBlur(half, (5, 5), 1.0).astype(np.float32)
    x, y = (cv2.Scharr(smooth, cv2.CV_32F, *axis, scale=1 / 32) for axis in ((1, 0), (0, 1)))
    xx, yy, xy = (cv2.blur(cv2.resize(each, (columns, rows), interpolation=cv2.INTER_AREA), (3, 3))
                  for each in (x * x, y * y, x * y))  # fmt: skip
    weaker = (xx + yy) / 2 - np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    sigma = np.median(np.abs(cv2.filter2D(half, cv2.CV_16S, kernel)[::2, ::2])) / (6.0 * 0.6745)
    seen = np.maximum(weaker - 0.05 * sigma**2 - 0.08, 0.0)
    return seen / (seen + 4.0)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (48, 50), (361, 643)])
@pytest.mark.parametrize("levels", [2, 40, 256])
def test_weights_are_those_of_whole_images_of_gradients(size: tuple[int, int], levels: int) -> None:
    luma = np.random.default_rng(levels).integers(0, levels, size).astype(np.uint8)
    luma[: size[0] // 2] = cv2.blur(luma, (5, 5))[: size[0] // 2]
    if levels == 2:
        luma *= 255
    np.testing.assert_allclose(texture_weights(luma), weights_from_whole_images(luma), atol=1e-5)
