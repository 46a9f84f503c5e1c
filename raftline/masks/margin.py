"""Room around a mask."""

from __future__ import annotations

import cv2
import numpy as np


def with_margin(mask: np.ndarray, margin_px: int) -> np.ndarray:
    """The mask, uint8 (H, W) of 0 and 255, and what lies within so many px of it."""
    if margin_px == 0 or not mask.any():
        return mask
    away_px = cv2.distanceTransform(255 - mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.where(away_px <= margin_px, np.uint8(255), np.uint8(0))
