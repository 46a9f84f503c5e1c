"""Where the picture has enough texture for its motion to be seen."""

from __future__ import annotations

import cv2
import numpy as np

GRID_PX = 8
_SEEN_CONTRAST = 4.0
"""Squared grey levels per px along the weaker direction at which a cell counts half."""
_ROUNDING = 0.08
"""The same that rounding to whole grey levels can give (measured on noise of sigma 1)."""


def texture_weights(luma: np.ndarray) -> np.ndarray:
    """How far each 8 px cell's motion is determined by its texture, float32 (ceil(H/8), ceil(W/8)) in [0, 1].

    luma: uint8 (H, W). The smaller eigenvalue of the structure tensor (Shi and Tomasi 1994), less what noise alone
    would give: 0 on a blank wall however noisy, near 0 on a lone straight edge, 1 on texture.
    """
    height, width = luma.shape
    cells = (-(-width // GRID_PX), -(-height // GRID_PX))
    padded = cv2.copyMakeBorder(
        luma, 0, cells[1] * GRID_PX - height, 0, cells[0] * GRID_PX - width, cv2.BORDER_REPLICATE
    )
    half = cv2.resize(padded, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    smooth = cv2.GaussianBlur(half, (5, 5), 1.0).astype(np.float32)
    along_x = cv2.Scharr(smooth, cv2.CV_32F, 1, 0, scale=1 / 32)
    along_y = cv2.Scharr(smooth, cv2.CV_32F, 0, 1, scale=1 / 32)
    xx, yy, xy = (
        cv2.blur(cv2.resize(product, cells, interpolation=cv2.INTER_AREA), (3, 3))
        for product in (along_x * along_x, along_y * along_y, along_x * along_y)
    )
    weaker = (xx + yy) / 2 - np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    seen = np.maximum(weaker - 2.0 * _noise_gradient_variance(half) - _ROUNDING, 0.0)
    return (seen / (seen + _SEEN_CONTRAST)).astype(np.float32)


def _noise_gradient_variance(image: np.ndarray) -> float:
    """Variance of one gradient component that the picture's noise explains, after the blur above.

    Noise as Immerkaer (1996) measures it, but by the median over the picture: texture raises it less than his mean.
    """
    laplacian = cv2.filter2D(image, cv2.CV_16S, np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32))
    sigma = float(np.median(np.abs(laplacian[::2, ::2]))) / (6.0 * 0.6745)
    return 0.025 * sigma**2
