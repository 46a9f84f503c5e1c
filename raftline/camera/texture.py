"""Where an image has enough texture for its motion to be seen."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from raftline.kernels.cell import CELL_PX
from raftline.kernels.compiled import compiled

_HALF_CELL = CELL_PX // 2
"""Side of a cell in the image at half its size, where texture is looked at."""
_SCHARR_GAIN = 32.0
"""Response of Scharr's filter to a gradient of one grey level per px."""
_HALF_WEIGHT_CONTRAST = 4.0
"""Squared grey levels per px along the weaker direction at which a cell weighs half; chosen by hand, `python -m
benchmarks.bench_stabilization --parts known` shows its effect."""
_ROUNDING_CONTRAST = 0.08
"""The same that rounding to whole grey levels can give (measured on noise of sigma 1)."""
_NOISE_VARIANCE_GAIN = 0.025
"""Variance of a gradient component after the blur of sigma 1 over 5 px, in that of white noise: 0.0225, rounded up."""
_LAPLACIAN_LEVELS = 8 * 255 + 1
"""Count of values that the magnitude of the noise filter's response may have."""


def texture_weights(luma: np.ndarray) -> np.ndarray:
    """Tell how far each cell's texture determines its motion.

    The smaller eigenvalue of the structure tensor (Shi and Tomasi 1994), less what noise alone would give: 0 on a blank
    wall however noisy, near 0 on a lone straight edge, 1 on texture.

    Args:
        luma: (H, W) uint8 grey levels.

    Returns:
        (ceil(H/8), ceil(W/8)) float32 in [0, 1], one for each 8 px cell.
    """
    height, width = luma.shape
    rows, columns = -(-height // CELL_PX), -(-width // CELL_PX)
    beyond = (0, rows * CELL_PX - height, 0, columns * CELL_PX - width)
    padded = cv2.copyMakeBorder(luma, *beyond, cv2.BORDER_REPLICATE) if any(beyond) else luma
    half = cv2.resize(padded, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    smooth = cv2.GaussianBlur(half, (5, 5), 1.0)
    sums = np.empty((3, rows, columns), np.float32)
    _structure(smooth, sums)
    weights, unseen = np.empty((rows, columns), np.float32), 2.0 * _noise_gradient_variance(half) + _ROUNDING_CONTRAST
    _weigh(cv2.blur(sums[0], (3, 3)), cv2.blur(sums[1], (3, 3)), cv2.blur(sums[2], (3, 3)), unseen, weights)
    return weights


def _noise_gradient_variance(image: np.ndarray) -> float:
    """Return the variance of one gradient component that the image's noise explains, after the blur above.

    Noise is measured with the filter of Immerkaer (1996), by the median over the image: texture raises that less than
    his mean.
    """
    counts = np.zeros(_LAPLACIAN_LEVELS, np.int64)
    _laplacian_counts(image, counts)
    sigma = _median_of(counts) / (6.0 * 0.6745)  # filter's gain, median of sigma
    return _NOISE_VARIANCE_GAIN * sigma**2


@compiled
def _structure(smooth: Any, sums: Any) -> None:
    """Sum the products xx, yy, xy of Scharr's gradients of uint8 (4 h, 4 w) over cells, float32 (3, h, w)."""
    height, width = smooth.shape
    row = np.empty((3, width), np.int32)
    lines = np.empty((3, width + 2), np.int32)
    for i in range(sums.shape[1]):
        row[:] = 0
        for k in range(i * _HALF_CELL, (i + 1) * _HALF_CELL):
            for line in range(3):
                at = abs(k + line - 1)
                at = at if at < height else height - 2  # mirrored at the border, as OpenCV does
                for j in range(width):
                    lines[line, j + 1] = smooth[at, j]
                lines[line, 0], lines[line, width + 1] = smooth[at, 1], smooth[at, width - 2]
            for j in range(width):
                right = 3 * lines[0, j + 2] + 10 * lines[1, j + 2] + 3 * lines[2, j + 2]
                x = right - 3 * lines[0, j] - 10 * lines[1, j] - 3 * lines[2, j]
                below = 3 * lines[2, j] + 10 * lines[2, j + 1] + 3 * lines[2, j + 2]
                y = below - 3 * lines[0, j] - 10 * lines[0, j + 1] - 3 * lines[0, j + 2]
                row[0, j] += np.int32(x) * np.int32(x)
                row[1, j] += np.int32(y) * np.int32(y)
                row[2, j] += np.int32(x) * np.int32(y)
        for product in range(3):
            for j in range(sums.shape[2]):
                total = np.int32(0)
                for k in range(j * _HALF_CELL, (j + 1) * _HALF_CELL):
                    total += row[product, k]
                sums[product, i, j] = np.float32(total)


@compiled
def _weigh(xx: Any, yy: Any, xy: Any, unseen: Any, weights: Any) -> None:
    """Weigh cells (h, w) by the smaller eigenvalue of their tensors, summed up, less what noise would give."""
    unit = np.float32((_SCHARR_GAIN * _HALF_CELL) ** 2)
    for i in range(weights.shape[0]):
        for j in range(weights.shape[1]):
            a, b, c = xx[i, j] / unit, yy[i, j] / unit, xy[i, j] / unit
            apart = (a - b) / np.float32(2.0)
            seen = max((a + b) / np.float32(2.0) - np.sqrt(apart * apart + c * c) - unseen, 0.0)
            weights[i, j] = np.float32(seen / (seen + _HALF_WEIGHT_CONTRAST))


@compiled
def _median_of(counts: Any) -> Any:
    """Return the median of whole numbers from 0, told by their counts."""
    total = 0
    for value in range(counts.size):
        total += counts[value]
    below, lower = 0, -1
    for value in range(counts.size):
        below += counts[value]
        if lower < 0 and below >= (total + 1) // 2:
            lower = value
        if below >= (total + 2) // 2:
            return 0.5 * (lower + value)
    return 0.0


@compiled
def _laplacian_counts(image: Any, counts: Any) -> None:
    """Count the magnitudes of the response of Immerkaer's filter at every other px of uint8 (h, w)."""
    height, width = image.shape
    for i in range(0, height, 2):
        up, down = abs(i - 1), i + 1 if i + 1 < height else max(height - 2, 0)
        for j in range(0, width, 2):
            left, right = abs(j - 1), j + 1 if j + 1 < width else max(width - 2, 0)
            beside = np.int64(image[up, j]) + image[down, j] + image[i, left] + image[i, right]
            diagonal = np.int64(image[up, left]) + image[up, right] + image[down, left] + image[down, right]
            counts[abs(4 * np.int64(image[i, j]) - 2 * beside + diagonal)] += 1
