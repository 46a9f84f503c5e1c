"""Images as the bytes of PNG and JPEG files."""

from __future__ import annotations

import cv2
import numpy as np


def png(image: np.ndarray, level: int | None = None) -> memoryview:
    """The bytes of a PNG file.

    Args:
        image: uint8 (H, W, 3) RGB or (H, W) grey.
        level: of zlib, 0 (fastest) to 9 (smallest); None: OpenCV's default.
    """
    return _encoded(".png", image, [] if level is None else [cv2.IMWRITE_PNG_COMPRESSION, level])


def jpeg(image: np.ndarray, quality: int) -> memoryview:
    """The bytes of a JPEG file; arguments as for `png`, quality 0-100."""
    return _encoded(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])


def _encoded(suffix: str, image: np.ndarray, parameters: list[int]) -> memoryview:
    bgr = image if image.ndim == 2 else image[..., ::-1]
    return cv2.imencode(suffix, bgr, parameters)[1].data
