"""What moves by itself: flow less the camera's motion, as a speed, and the mask of what is fast enough."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

_NOISE_SIGMAS = 4.0
_SIDE_PX = 640


@dataclass(frozen=True)
class Thresholds:
    """What counts as moving."""

    high_px_s: float = 45.0
    """A region counts if some of it is as fast as this."""
    low_px_s: float = 20.0
    """and then reaches as far as it is faster than this."""
    min_area: float = 0.0005
    """Smallest region, as a share of the frame, 0-1."""


@dataclass(frozen=True)
class SampledFlow:
    """Flow on an even grid over the earlier frame."""

    flow_px: np.ndarray
    """float32 (h, w, 2): (u, v) in px of the full frame."""
    step_px: int
    """Distance of the samples."""
    first_px: int
    """x and y of the first sample."""

    @property
    def x(self) -> np.ndarray:
        """(w,) float32 px"""
        return (np.arange(self.flow_px.shape[1]) * self.step_px + self.first_px).astype(np.float32)

    @property
    def y(self) -> np.ndarray:
        """(h,) float32 px"""
        return (np.arange(self.flow_px.shape[0]) * self.step_px + self.first_px).astype(np.float32)


def sampled(flow_px: np.ndarray, width: int, height: int) -> SampledFlow:
    """About 640 samples across of the flow of a frame, given at every pixel or on the 1/8 grid."""
    step = max(1, round(max(width, height) / _SIDE_PX))
    first = step // 2
    if flow_px.shape[:2] == (height, width):
        return SampledFlow(np.asarray(flow_px[first::step, first::step], np.float32), step, first)
    columns, rows = -(-(width - first) // step), -(-(height - first) // step)
    from_grid = np.array([[8.0, 0.0, 3.5 - first], [0.0, 8.0, 3.5 - first]]) / step
    grid = np.ascontiguousarray(flow_px, np.float32)
    finer = cv2.warpAffine(grid, from_grid, (columns, rows), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return SampledFlow(finer, step, first)


def residual_flow(flow: SampledFlow, camera: np.ndarray) -> np.ndarray:
    """float32 (h, w, 2) px: the flow less what `camera` (3, 3), px of the earlier to the later frame, explains."""
    x, y = flow.x[None, :], flow.y[:, None]
    matrix = camera.astype(np.float32)
    depth = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
    left = np.empty_like(flow.flow_px)
    left[..., 0] = flow.flow_px[..., 0] + x - (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]) / depth
    left[..., 1] = flow.flow_px[..., 1] + y - (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]) / depth
    return left


def carried_forward(flow: SampledFlow, residual_px: np.ndarray, moving: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What moves, on the same grid over the later frame: a mask, bool (h, w), and its residual (h, w, 2), 0 elsewhere.

    Moving samples go where their flow takes them, the fastest winning. Holes between them are filled from around them.
    """
    rows, columns = np.nonzero(moving)
    carried = np.zeros_like(residual_px)
    reached = np.zeros(moving.shape, np.uint8)
    steps = np.rint(flow.flow_px[rows, columns] / flow.step_px).astype(np.intp)
    to_row, to_column = rows + steps[:, 1], columns + steps[:, 0]
    inside = (to_row >= 0) & (to_row < moving.shape[0]) & (to_column >= 0) & (to_column < moving.shape[1])
    rows, columns, to_row, to_column = rows[inside], columns[inside], to_row[inside], to_column[inside]
    residual = residual_px[rows, columns]
    order = np.argsort(np.hypot(residual[:, 0], residual[:, 1]), kind="stable")
    carried[to_row[order], to_column[order]] = residual[order]
    reached[to_row, to_column] = 1
    element = np.ones((3, 3), np.uint8)
    closed = cv2.morphologyEx(reached, cv2.MORPH_CLOSE, element)
    holes = (closed > 0) & (reached == 0)
    if holes.any():
        weight = cv2.boxFilter(reached, cv2.CV_32F, (3, 3), normalize=False)
        mean = cv2.boxFilter(carried, -1, (3, 3), normalize=False)
        carried[holes] = mean[holes] / np.maximum(weight[holes], 1.0)[:, None]
    return closed > 0, carried


def moving_regions(
    speed_px_s: np.ndarray,
    thresholds: Thresholds,
    allowed: np.ndarray | None = None,
    moved_before: np.ndarray | None = None,
) -> np.ndarray:
    """bool (h, w): regions faster than `low_px_s` that hold something faster than `high_px_s` and are large enough.

    allowed: bool (h, w) where motion counts; None is everywhere. moved_before: bool (h, w) where `low_px_s` is enough,
    so that what slows down is followed until it stops. Small holes are closed.
    """
    low = speed_px_s >= thresholds.low_px_s
    if allowed is not None:
        low &= allowed
    closed = cv2.morphologyEx(low.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    count, labels, stats = _regions(closed)
    if count == 1:
        return np.zeros(low.shape, bool)
    seeds = speed_px_s >= thresholds.high_px_s
    if moved_before is not None:
        seeds |= moved_before
    counts = np.zeros(count, bool)
    counts[np.unique(labels[low & seeds])] = True
    counts &= stats[:, cv2.CC_STAT_AREA] >= thresholds.min_area * speed_px_s.size
    counts[0] = False
    return counts[labels]


def large_enough(mask: np.ndarray, min_area: float) -> np.ndarray:
    """The connected regions of a bool mask (h, w) that cover at least `min_area` of it."""
    _, labels, stats = _regions(mask.astype(np.uint8))
    keeps = stats[:, cv2.CC_STAT_AREA] >= min_area * mask.size
    keeps[0] = False
    return keeps[labels]


def raised_for_noise(thresholds: Thresholds, noise_px: float, step_seconds: float) -> Thresholds:
    """Thresholds that the flow's own noise (sigma along one axis, px per step) does not reach."""
    floor = _NOISE_SIGMAS * noise_px / step_seconds
    return Thresholds(max(thresholds.high_px_s, 1.5 * floor), max(thresholds.low_px_s, floor), thresholds.min_area)


def full_size(mask: np.ndarray, flow: SampledFlow, width: int, height: int) -> np.ndarray:
    """A mask on the flow's grid as uint8 (height, width) of 0 and 255, with smooth edges between the samples."""
    if mask.shape == (height, width):
        return mask.astype(np.uint8) * 255
    soft = mask.astype(np.float32)
    to_grid = np.array([[flow.step_px, 0.0, flow.first_px], [0.0, flow.step_px, flow.first_px]], np.float64)
    large = cv2.warpAffine(soft, to_grid, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return (large >= 0.5).astype(np.uint8) * 255


def _regions(mask: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    return count, np.asarray(labels, np.intp), np.asarray(stats)
