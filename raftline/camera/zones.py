"""Where motion counts: polygons in shares of the frame."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

_FRACTION_BITS = 4
"""Of a corner's coordinates: a sixteenth of a point is finer than any zone needs."""

Polygon = Sequence[tuple[float, float]]
"""(x, y) corners, 0-1: (0, 0) is the frame's top left corner, (1, 1) its bottom right."""


def zone_mask(watch: Sequence[Polygon], ignore: Sequence[Polygon], columns: int, rows: int) -> np.ndarray:
    """Where motion counts: inside some `watch` polygon, and inside no `ignore` polygon.

    Args:
        watch: Polygons; none: everywhere.
        ignore: Polygons.
        columns: Of the mask.
        rows: Of the mask.

    Returns:
        bool (rows, columns). A point counts if its centre does.

    Raises:
        ValueError: A polygon has fewer than 3 corners, or one outside 0-1.
    """
    allowed = _filled(watch, columns, rows) if watch else np.ones((rows, columns), bool)
    return allowed & ~_filled(ignore, columns, rows)


def _filled(polygons: Sequence[Polygon], columns: int, rows: int) -> np.ndarray:
    mask = np.zeros((rows, columns), np.uint8)
    for polygon in polygons:
        corners = np.asarray(polygon, np.float64).reshape(-1, 2)
        if len(corners) < 3 or corners.min() < 0 or corners.max() > 1:
            raise ValueError(
                f"a zone needs at least 3 corners [x, y], in shares of the frame from 0 to 1, found {corners.tolist()}"
            )
        on_grid = (corners * (columns, rows) - 0.5) * 2**_FRACTION_BITS
        cv2.fillPoly(mask, [np.rint(on_grid).astype(np.int32)], 1, lineType=cv2.LINE_8, shift=_FRACTION_BITS)
    return mask.astype(bool)
