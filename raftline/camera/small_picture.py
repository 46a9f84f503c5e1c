"""A small picture of a frame: what is kept of it from frame to frame."""

from __future__ import annotations

import base64
from typing import Any

import cv2
import numpy as np

from raftline.camera.luma_pyramid import LumaPyramid

SIDE_PX = 160
"""Longer side: enough to tell motions apart, and small in a snapshot."""


def small_picture(frame: LumaPyramid) -> LumaPyramid:
    """Return a frame with one level of at most `SIDE_PX`, in whole grey levels."""
    image = frame.levels[0]
    scale = SIDE_PX / max(image.shape)
    if scale < 1:
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return LumaPyramid((whole_levels(image),), frame.width, frame.height)


def whole_levels(image: np.ndarray) -> np.ndarray:
    """Return an image, float32, in whole grey levels from 0 to 255."""
    return np.clip(np.rint(image), 0, 255).astype(np.float32)


def packed_picture(image: np.ndarray) -> list[Any]:
    """Return rows, columns, and an image (rows, columns) in whole grey levels as base64, for JSON."""
    return [*image.shape, base64.b64encode(image.astype(np.uint8).tobytes()).decode("ascii")]


def unpacked_picture(packed: list[Any]) -> np.ndarray:
    """Return the image, float32, that `packed_picture` packed."""
    rows, columns, text = packed
    return np.frombuffer(base64.b64decode(text), np.uint8).astype(np.float32).reshape(rows, columns)
