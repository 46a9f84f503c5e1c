"""What moves by itself: flow less the camera's motion, on the 1/8 grid, as a speed; and where it went.

Numbers without a source were chosen by hand; `python -m benchmarks.bench_motion_masks` shows their effect.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from raftline.camera.camera_motion import grid_centres
from raftline.camera.transforms import transform_xy
from raftline.camera.working_grid import WorkingGrid
from raftline.kernels.cell import CELL_PX
from raftline.masks.photometric_support import snapped, supported

_PLAIN_SHARE = 0.024
"""Of the width: how wide a plain surface between moving edges may be to count as moving with them."""
_NOISE_SIGMAS = 4.0
"""Of the flow's noise, which a threshold stays above: with Rayleigh's distribution one cell in 3000 lies beyond."""
_RAYLEIGH_MEDIAN = 1.1774
"""Median length of a vector whose parts have a normal distribution of sigma 1: sqrt(2 ln 2)."""
_NOISE_OF_SWEEP = 0.01
"""Of the flow's median length."""
_SHORTENED_PX = 1.0
"""What goes less than that in a step may come out half as long, if it is small."""
_CLEAR_SHARE = 0.6
"""Of a cell, that something has to cover for its flow to be taken as shortened."""
_MOVING_SHARE = 0.25
"""Of a moving cell's weight, interpolated between cell centres: a point within three quarters of a cell of one moves
with it."""
_HIGH_OF_FLOOR = 1.5
"""The high threshold of hysteresis over the low one, where noise sets both."""


@dataclass(frozen=True)
class Thresholds:
    """What counts as moving."""

    high_px_s: float
    """A region counts if some of it is at least this fast."""
    low_px_s: float
    """It extends to all connected parts at least this fast."""
    min_area: float
    """Smallest region, as a share of the frame, 0-1."""


@dataclass(frozen=True)
class CellMotion:
    """Moving cells, at their places in the later frame."""

    moving: np.ndarray
    """bool (ceil(H/8), ceil(W/8)) on the earlier frame"""
    column: np.ndarray
    """(N,) int: where each moving cell's centre went, on the working grid"""
    row: np.ndarray
    """(N,) int"""
    velocity_px_s: np.ndarray
    """(N, 2) float32, after the camera's motion"""

    def drawn(self, grid: WorkingGrid) -> np.ndarray:
        """bool (h, w) on the working grid: what the moving cells cover in the later frame."""
        points = np.zeros(grid.shape, np.uint8)
        points[self.row, self.column] = 1
        # One more than a cell, so that no gap opens where an object grows.
        side = max(1, round(CELL_PX / grid.step_px)) + 1
        return cv2.dilate(points, np.ones((side, side), np.uint8)) > 0


def seen_moving(
    cells: CellMotion,
    grid_px: np.ndarray,
    camera: np.ndarray,
    lumas: tuple[np.ndarray, np.ndarray],
    grid: WorkingGrid,
) -> tuple[np.ndarray, np.ndarray]:
    """Of what the moving cells cover, what two images show to have moved: for where no background is known.

    Args:
        cells: The moving cells.
        grid_px: float32 (ceil(H/8), ceil(W/8), 2), flow in px.
        camera: (3, 3), points of the earlier frame to points of the later.
        lumas: uint8 (h, w) of the earlier and the later frame.
        grid: The working grid.

    Returns:
        bool (h, w) on the earlier frame, and the flow there, float32 (h, w, 2) in points.
    """
    flow = _interpolated(grid_px, grid) / grid.step_px
    moving = _interpolated(cells.moving.astype(np.float32), grid, cv2.BORDER_CONSTANT) > _MOVING_SHARE
    reach = max(2.0, _PLAIN_SHARE * grid.shape[1])
    return snapped(moving, supported(flow, camera, *lumas), reach), flow


def on_points(cells: np.ndarray, grid: WorkingGrid) -> np.ndarray:
    """bool (h, w) on the working grid: what bool cells of the 1/8 grid cover, and half a cell around it."""
    return _interpolated(cells.astype(np.float32), grid) > 0


def _interpolated(values: np.ndarray, grid: WorkingGrid, border: int = cv2.BORDER_REPLICATE) -> np.ndarray:
    """float32 values of the 1/8 grid, (rows, columns) or (rows, columns, 2), at the working grid's points."""
    to_cells = np.array([[grid.step_px, 0, grid.first_px], [0, grid.step_px, grid.first_px]], np.float64)
    to_cells[:, 2] -= (CELL_PX - 1) / 2
    to_cells /= CELL_PX
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(values, to_cells, grid.shape[::-1], flags=flags, borderMode=border)


def carried_forward(moving: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """bool (h, w) on the later frame: where the moving points (h, w) go by flow (h, w, 2) in points."""
    _, _, to_row, to_column = _ways(moving, flow)
    reached = np.zeros(moving.shape, np.uint8)
    reached[to_row, to_column] = 1
    return cv2.morphologyEx(reached, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)) > 0


def carried_back(moving: np.ndarray, flow: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """int32 (h, w) on the earlier frame: the label (h, w) of where each moving point (h, w) goes; 0 elsewhere."""
    rows, columns, to_row, to_column = _ways(moving, flow)
    before = np.zeros(moving.shape, np.int32)
    before[rows, columns] = labels[to_row, to_column]
    return before


def _ways(moving: np.ndarray, flow: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Row and column of the moving points (h, w) that stay in the frame, and of where they go."""
    rows, columns = np.nonzero(moving)
    steps = np.rint(flow[rows, columns]).astype(np.intp)
    to_row, to_column = rows + steps[:, 1], columns + steps[:, 0]
    inside = (to_row >= 0) & (to_row < moving.shape[0]) & (to_column >= 0) & (to_column < moving.shape[1])
    return rows[inside], columns[inside], to_row[inside], to_column[inside]


def cell_residual(grid_px: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """Flow less what the camera's motion explains.

    Args:
        grid_px: float32 (ceil(H/8), ceil(W/8), 2) px.
        camera: (3, 3), px of the earlier frame to px of the later.

    Returns:
        float32 of the same shape, px.
    """
    if np.array_equal(camera, np.eye(3)):
        return np.asarray(grid_px, np.float32)
    x, y = np.meshgrid(*grid_centres(*grid_px.shape[:2]), sparse=True)
    to_x, to_y = transform_xy(camera, x, y)
    return (grid_px - np.stack([to_x - x, to_y - y], axis=-1)).astype(np.float32)


def moving_cells(
    grid_px: np.ndarray,
    residual_px: np.ndarray,
    thresholds: Thresholds,
    step_seconds: float,
    moved_before: np.ndarray | None,
    grid: WorkingGrid,
    clear: np.ndarray | None = None,
) -> CellMotion:
    """The cells that are fast enough, by hysteresis (`moving_regions`), carried into the later frame.

    Args:
        grid_px: float32 (ceil(H/8), ceil(W/8), 2), flow in px.
        residual_px: The same, less the camera's motion.
        thresholds: What is fast and large enough.
        step_seconds: Time between the two frames.
        moved_before: bool cells that moved a frame ago; None: not known.
        grid: The working grid.
        clear: bool (h, w) on the working grid, where something is there without doubt: flow of less than a px is taken
            to be twice as long, at most a px. None: nowhere.
    """
    step_px = cv2.magnitude(residual_px[..., 0], residual_px[..., 1])
    if clear is not None and clear.any():
        covered = cv2.resize(clear.astype(np.float32), step_px.shape[::-1], interpolation=cv2.INTER_AREA)
        longer_px = np.maximum(step_px, np.minimum(2 * step_px, np.float32(_SHORTENED_PX)))
        step_px = np.where(covered > _CLEAR_SHARE, longer_px, step_px)
    moving = moving_regions(step_px / np.float32(step_seconds), thresholds, moved_before)
    rows, columns = np.nonzero(moving)
    went = grid_px[rows, columns]
    x = (columns * CELL_PX + (CELL_PX - 1) / 2 + went[:, 0] - grid.first_px) / grid.step_px
    y = (rows * CELL_PX + (CELL_PX - 1) / 2 + went[:, 1] - grid.first_px) / grid.step_px
    high, wide = grid.shape
    inside = (x > -0.5) & (x < wide - 0.5) & (y > -0.5) & (y < high - 0.5)
    return CellMotion(
        moving,
        np.rint(x[inside]).astype(np.intp),
        np.rint(y[inside]).astype(np.intp),
        residual_px[rows[inside], columns[inside]] / np.float32(step_seconds),
    )


def moving_regions(
    speed_px_s: np.ndarray,
    thresholds: Thresholds,
    moved_before: np.ndarray | None = None,
) -> np.ndarray:
    """Regions faster than `low_px_s` that hold something faster than `high_px_s` and are large enough.

    Small holes are closed.

    Args:
        speed_px_s: float (h, w).
        thresholds: Of speed and area.
        moved_before: bool (h, w), where `low_px_s` is enough, so that what slows down is followed until it stops.

    Returns:
        bool (h, w).
    """
    low = speed_px_s >= thresholds.low_px_s
    closed = cv2.morphologyEx(low.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    count, found, stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
    labels = np.asarray(found, np.intp)
    seeds = speed_px_s >= thresholds.high_px_s
    if moved_before is not None:
        seeds |= moved_before
    counts = np.zeros(count, bool)
    counts[np.unique(labels[low & seeds])] = True
    counts &= stats[:, cv2.CC_STAT_AREA] >= thresholds.min_area * speed_px_s.size
    counts[0] = False
    return counts[labels]


def raised_for_noise(thresholds: Thresholds, noise_px: float, step_seconds: float) -> Thresholds:
    """Thresholds that the flow's own noise (sigma along one axis, px per step) does not reach."""
    floor = _NOISE_SIGMAS * noise_px / step_seconds
    high_px_s = max(thresholds.high_px_s, _HIGH_OF_FLOOR * floor)
    return Thresholds(high_px_s, max(thresholds.low_px_s, floor), thresholds.min_area)


def flow_noise_px(residual_px: np.ndarray) -> float:
    """Sigma along one axis of the flow (h, w, 2) px where nothing moves, if that is most of the frame."""
    return float(np.median(cv2.magnitude(residual_px[..., 0], residual_px[..., 1]))) / _RAYLEIGH_MEDIAN


def sweep_noise_px(grid_px: np.ndarray) -> float:
    """What the flow's sigma grows by where the image sweeps past: it is blurred, and lenses and shutters bend it."""
    return _NOISE_OF_SWEEP * float(np.median(cv2.magnitude(grid_px[..., 0], grid_px[..., 1])))
