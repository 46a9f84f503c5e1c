"""Room around a mask."""

from __future__ import annotations

import cv2
import numpy as np


def with_margin(mask: np.ndarray, margin_px: int) -> np.ndarray:
    """The mask grown to all sides.

    Args:
        mask: uint8 (H, W) of 0 and 255.
        margin_px: How far, px.

    Returns:
        The mask and every px whose centre is at most `margin_px` from one of its own, uint8 (H, W); the mask itself if
        there is nothing to grow.
    """
    if margin_px == 0 or not mask.any():
        return mask
    away_px = cv2.distanceTransform(255 - mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.where(away_px <= margin_px, np.uint8(255), np.uint8(0))
