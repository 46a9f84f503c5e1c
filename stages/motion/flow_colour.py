"""Flow as colours: direction is hue, speed is saturation, still is white (Baker et al., Middlebury, IJCV 2011)."""

import cv2
import numpy as np
import numpy.typing as npt

# How many steps the wheel takes from each colour to the next: red, yellow, green, cyan, blue, magenta, red.
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
_BEYOND_MAX = 0.75


def _wheel() -> npt.NDArray[np.float32]:
    """(_ANGLES + 1, 3) RGB in [0, 255] over a full turn, first colour repeated at the end."""
    corners = np.array([colour for _, colour in (*_SEGMENTS, _SEGMENTS[0])], np.float32)
    steps = np.cumsum([0, *(count for count, _ in _SEGMENTS)])
    at = np.linspace(0, steps[-1], _ANGLES + 1)
    return np.stack([np.interp(at, steps, corners[:, channel]) for channel in range(3)], axis=1).astype(np.float32)


_WHEEL = _wheel()


def flow_colour(flow_px: npt.NDArray[np.float32], max_px: float | None = None) -> npt.NDArray[np.uint8]:
    """(H, W, 2) px -> (H, W, 3) uint8 RGB.

    Args:
        flow_px: NaN where unknown: those pixels are black.
        max_px: the speed of full saturation; faster is darker. None takes the fastest pixel of this flow, so that
            colours of different frames do not compare.

    Raises:
        ValueError: another shape, or max_px not positive.
    """
    flow = np.asarray(flow_px, np.float32)
    if flow.ndim != 3 or flow.shape[2] != 2:
        raise ValueError(f"flow_px: expected shape (height, width, 2), found {flow.shape}")
    if max_px is not None and not max_px > 0:
        raise ValueError(f"max_px: expected a speed above 0 px, found {max_px}")
    known = np.isfinite(flow).all(axis=2)
    u, v = (np.ascontiguousarray(np.where(known, flow[:, :, axis], 0)) for axis in range(2))
    # The published wheel has red to the right and runs clockwise in image axes.
    speed, angle = cv2.cartToPolar(u, v)
    full = max_px if max_px is not None else max(float(speed.max(initial=0)), 1e-6)
    index = np.minimum((angle * (_ANGLES / (2 * np.pi))).astype(np.int32), _ANGLES)
    saturation = (speed / full)[:, :, None]
    hue = _WHEEL[index]
    inside = 255 - np.minimum(saturation, 1) * (255 - hue)
    colours = np.where(saturation <= 1, inside, hue * _BEYOND_MAX)
    return np.where(np.expand_dims(known, 2), colours, 0).astype(np.uint8)
