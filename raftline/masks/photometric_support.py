"""Where two images show that something moved, as flow alone, which spreads over plain surfaces, does not."""

from __future__ import annotations

import cv2
import numpy as np

from raftline.camera.transforms import transform_xy

_NOISE_SIGMAS = 3.0
"""A change of fewer sigmas may be noise: of a normal distribution 0.3 % lie beyond three."""
_LEAST_LEVELS = 3.0
"""Grey levels: less may be rounding and coding. Chosen by hand; `python -m benchmarks.bench_motion_masks` shows its
effect."""
_SIGMA_OF_MEDIAN = 1.4826
"""Of a normal distribution: its sigma over the median of absolute deviations, 1 / 0.6745."""
_EXPLAINED = 0.7
"""Share of the change that flow may leave. Chosen by hand; `python -m benchmarks.bench_motion_masks` shows its
effect."""


def supported(flow: np.ndarray, camera: np.ndarray, earlier: np.ndarray, later: np.ndarray) -> np.ndarray:
    """Where the flow explains the image's change, and the camera's motion does not.

    A change counts if it is more than the noise, which is what half of the image stays under, and more than a common
    change of illumination.

    Args:
        flow: float32 (h, w, 2) in points.
        camera: (3, 3), points of the earlier to points of the later image.
        earlier: uint8 luma (h, w).
        later: uint8 luma (h, w).

    Returns:
        bool (h, w) on the earlier image.
    """
    x, y = np.meshgrid(*(np.arange(size, dtype=np.float32) for size in flow.shape[1::-1]))
    camera_x, camera_y = transform_xy(camera.astype(np.float32), x, y)
    flow_x, flow_y = x + flow[..., 0], y + flow[..., 1]
    here, after = (cv2.blur(luma, (2, 2)) for luma in (earlier, later))
    left_by_camera = _difference(here, after, camera_x, camera_y)
    left_by_flow = _difference(here, after, flow_x, flow_y)
    # Where a moving thing arrives the image changes too; a plain surface that merely shares its flow stays the same.
    found_x, found_y = transform_xy(np.linalg.inv(camera).astype(np.float32), flow_x, flow_y)
    on_arrival = cv2.remap(left_by_camera, found_x, found_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    sigma = _SIGMA_OF_MEDIAN * float(np.median(left_by_camera[::3, ::3]))
    visible = np.minimum(left_by_camera, on_arrival) > max(_LEAST_LEVELS, _NOISE_SIGMAS * sigma)
    return visible & (left_by_flow < _EXPLAINED * left_by_camera)


def snapped(moving: np.ndarray, support: np.ndarray, reach: float) -> np.ndarray:
    """Of moving regions, what has support, plain surfaces between such places included.

    Args:
        moving: bool (h, w), too large at the edges.
        support: bool (h, w).
        reach: How many points wide such a surface may be.

    Returns:
        bool (h, w).
    """
    seen = (moving & support).astype(np.uint8)
    radius = max(1, round(reach / 2))
    element = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    opened = cv2.morphologyEx(seen, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    padded = cv2.copyMakeBorder(opened, radius, radius, radius, radius, cv2.BORDER_REPLICATE)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, element)[radius:-radius, radius:-radius]
    return moving & (_without_holes(np.ascontiguousarray(closed)) > 0)


def _difference(here: np.ndarray, later: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """float32 (h, w): how much an image differs from the later one at (x, y), without what all of it differs by."""
    there = cv2.remap(later, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    difference = here.astype(np.float32) - there
    difference -= float(np.median(difference[::3, ::3]))
    return cv2.blur(np.abs(difference), (3, 3))


def _without_holes(mask: np.ndarray) -> np.ndarray:
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros_like(mask)
    cv2.drawContours(filled, outlines, -1, 1, thickness=cv2.FILLED)
    return filled
