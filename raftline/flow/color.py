"""Flow as colors: direction is hue, speed is saturation, still is white (Baker et al., Middlebury, IJCV 2011)."""

import cv2
import numpy as np
import numpy.typing as npt

# How many steps the wheel takes from each color to the next: red, yellow, green, cyan, blue, magenta, red.
# From vision.middlebury.edu/flow/code/flow-code (colorcode.cpp), chosen there by perceived difference.
_SEGMENTS = (
    (15, (255, 0, 0)),
    (6, (255, 255, 0)),
    (4, (0, 255, 0)),
    (11, (0, 255, 255)),
    (13, (0, 0, 255)),
    (6, (255, 0, 255)),
)
_ANGLES = 1024
"""Directions of the palette: finer than the 55 steps of the wheel by far."""
_SPEEDS = 256
"""Speeds of the palette, up to the maximum: as many as 8-bit colors can show."""
_BEYOND_MAX = 0.75
"""Brightness of speeds beyond the maximum: colorcode.cpp's "out of range"."""


def _palette() -> npt.NDArray[np.uint8]:
    """(_ANGLES * (_SPEEDS + 1), 3) RGB: for each angle of a full turn the speeds up to the maximum, then one beyond."""
    corners = np.array([color for _, color in (*_SEGMENTS, _SEGMENTS[0])], np.float64)
    steps = np.cumsum([0, *(count for count, _ in _SEGMENTS)])
    at = np.arange(_ANGLES) * (steps[-1] / _ANGLES)
    hue = np.stack([np.interp(at, steps, corners[:, channel]) for channel in range(3)], axis=1)[:, None]
    saturation = np.linspace(0, 1, _SPEEDS)[:, None]
    inside = 255 - saturation * (255 - hue)
    return np.concatenate([inside, hue * _BEYOND_MAX], axis=1).reshape(-1, 3).astype(np.uint8)


_PALETTE = _palette()


def flow_color(flow_px: npt.NDArray[np.float32], max_px: float | None = None) -> npt.NDArray[np.uint8]:
    """(H, W, 2) px -> (H, W, 3) uint8 RGB.

    Args:
        flow_px: NaN where unknown: those pixels are black.
        max_px: the speed of full saturation; faster is darker. None takes the fastest pixel of this flow, so that
            colors of different frames do not compare.

    Raises:
        ValueError: another shape, or max_px not positive.
    """
    flow = np.asarray(flow_px, np.float32)
    if flow.ndim != 3 or flow.shape[2] != 2:
        raise ValueError(f"flow_px: expected shape (height, width, 2), found {flow.shape}")
    if max_px is not None and not max_px > 0:
        raise ValueError(f"max_px: expected a speed above 0 px, found {max_px}")
    # The published wheel has red to the right and runs clockwise in image axes.
    speed, angle = cv2.cartToPolar(np.ascontiguousarray(flow[:, :, 0]), np.ascontiguousarray(flow[:, :, 1]))
    known = np.isfinite(speed)
    if not known.all():
        speed, angle = np.where(known, speed, 0), np.where(known, angle, 0)
    full = max_px if max_px is not None else max(float(speed.max(initial=0)), 1e-6)
    index = (angle * (_ANGLES / (2 * np.pi))).astype(np.int32) % _ANGLES
    index *= _SPEEDS + 1
    index += np.where(speed <= full, np.rint(speed * ((_SPEEDS - 1) / full)), _SPEEDS).astype(np.int32)
    colors = _PALETTE[index]
    colors[~known] = 0
    return colors
