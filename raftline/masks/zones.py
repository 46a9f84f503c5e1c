"""Where motion counts: polygons in shares of the frame."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

Polygon = Sequence[tuple[float, float]]
"""(x, y) corners, 0-1: (0, 0) is the frame's top left corner, (1, 1) its bottom right."""


def zone_mask(watch: Sequence[Polygon], ignore: Sequence[Polygon], columns: int, rows: int) -> np.ndarray:
    """bool (rows, columns): inside of some `watch` polygon (everywhere where there is none) and of no `ignore` polygon.

    A cell counts if its centre does. Raises ValueError for a polygon of fewer than 3 corners, or with some outside 0-1.
    """
    allowed = _filled(watch, columns, rows) if watch else np.ones((rows, columns), bool)
    return allowed & ~_filled(ignore, columns, rows)


def _filled(polygons: Sequence[Polygon], columns: int, rows: int) -> np.ndarray:
    scale = 16
    mask = np.zeros((rows, columns), np.uint8)
    for polygon in polygons:
        corners = np.asarray(polygon, np.float64).reshape(-1, 2)
        if len(corners) < 3 or corners.min() < 0 or corners.max() > 1:
            raise ValueError(f"a zone needs at least 3 corners with x and y from 0 to 1, found {corners.tolist()}")
        on_grid = (corners * (columns, rows) - 0.5) * scale
        cv2.fillPoly(mask, [np.rint(on_grid).astype(np.int32)], 1, lineType=cv2.LINE_8, shift=4)
    return mask.astype(bool)
