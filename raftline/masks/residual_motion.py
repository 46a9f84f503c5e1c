"""What moves by itself: flow less the camera's motion, on the 1/8 grid, as a speed; and where it went."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from raftline.camera.transforms import transform_xy
from raftline.camera.working_grid import WorkingGrid
from raftline.kernels.cell import CELL_PX
from raftline.masks.picture_change import snapped, supported

_PLAIN_SHARE = 0.024
"""Of the width: how wide a plain surface between moving edges may be to count as moving with them."""
_NOISE_SIGMAS = 4.0
_RAYLEIGH_MEDIAN = 1.1774
_NOISE_OF_SWEEP = 0.01
_SHORTENED_PX = 1.0
"""What goes less than that in a step may come out half as long, if it is small."""
_CLEAR_SHARE = 0.6
"""Of a cell."""


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
    """Of what the moving cells cover, what the pictures show to have moved: bool (h, w); and flow (h, w, 2) in points.

    On the earlier frame, for where no background is known. camera: (3, 3) in points. lumas: uint8 (h, w) of the earlier
    and the later frame.
    """
    flow = _interpolated(grid_px, grid) / grid.step_px
    moving = _interpolated(cells.moving.astype(np.float32), grid, cv2.BORDER_CONSTANT) > 0.25
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
    """Row and column of the moving points (h, w) that stay in the picture, and of where they go."""
    rows, columns = np.nonzero(moving)
    steps = np.rint(flow[rows, columns]).astype(np.intp)
    to_row, to_column = rows + steps[:, 1], columns + steps[:, 0]
    inside = (to_row >= 0) & (to_row < moving.shape[0]) & (to_column >= 0) & (to_column < moving.shape[1])
    return rows[inside], columns[inside], to_row[inside], to_column[inside]


def cell_residual(grid_px: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """float32 (h, w, 2) px: flow (h, w, 2) px on the 1/8 grid, less what `camera` (3, 3) in px explains."""
    rows, columns = grid_px.shape[:2]
    if np.array_equal(camera, np.eye(3)):
        return np.asarray(grid_px, np.float32)
    centre = (CELL_PX - 1) / 2
    x = (np.arange(columns, dtype=np.float64) * CELL_PX + centre)[None, :]
    y = (np.arange(rows, dtype=np.float64) * CELL_PX + centre)[:, None]
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

    clear: bool (h, w) on the working grid, where there is no doubt that something is there: flow of less than a px is
    taken to be twice as long, at most a px.
    """
    step_px = cv2.magnitude(residual_px[..., 0], residual_px[..., 1])
    if clear is not None:
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
    """bool (h, w): regions faster than `low_px_s` that hold something faster than `high_px_s` and are large enough.

    moved_before: bool (h, w) where `low_px_s` is enough, so that what slows down is followed until it stops. Small
    holes are closed.
    """
    low = speed_px_s >= thresholds.low_px_s
    closed = cv2.morphologyEx(low.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    count, found, stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
    labels = np.asarray(found, np.intp)
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


def raised_for_noise(thresholds: Thresholds, noise_px: float, step_seconds: float) -> Thresholds:
    """Thresholds that the flow's own noise (sigma along one axis, px per step) does not reach."""
    floor = _NOISE_SIGMAS * noise_px / step_seconds
    return Thresholds(max(thresholds.high_px_s, 1.5 * floor), max(thresholds.low_px_s, floor), thresholds.min_area)


def flow_noise_px(residual_px: np.ndarray) -> float:
    """Sigma along one axis of the flow (h, w, 2) px where nothing moves, if that is most of the frame."""
    return float(np.median(cv2.magnitude(residual_px[..., 0], residual_px[..., 1]))) / _RAYLEIGH_MEDIAN


def sweep_noise_px(grid_px: np.ndarray) -> float:
    """What the flow's sigma grows by where the picture sweeps past: it is blurred, and lenses and shutters bend it."""
    return _NOISE_OF_SWEEP * float(np.median(cv2.magnitude(grid_px[..., 0], grid_px[..., 1])))
