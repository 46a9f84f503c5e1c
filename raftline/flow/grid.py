"""Flow from the working resolution, at which it was estimated, to the resolution of the frame."""

from __future__ import annotations

import cv2
import numpy as np

from raftline.kernels.cell import CELL_PX


def working_size(height: int, width: int, max_side_px: int | None) -> tuple[int, int]:
    """Compute the (height, width) to work at, with the longer side at most `max_side_px`."""
    longer = max(height, width)
    if max_side_px is None or longer <= max_side_px:
        return height, width
    scale = max_side_px / longer
    return max(1, round(height * scale)), max(1, round(width * scale))


def frame_grid(
    grid_px: np.ndarray, origin_px: tuple[int, int], worked: tuple[int, int], frame: tuple[int, int]
) -> np.ndarray:
    """Resample flow to the cell centres of the frame, like `frame_cells`, and scale it to px of the frame."""
    cells = frame_cells(grid_px, origin_px, worked, frame)
    return cells if worked == frame else cells * _enlargement(worked, frame)


def frame_cells(
    values: np.ndarray, origin_px: tuple[int, int], worked: tuple[int, int], frame: tuple[int, int]
) -> np.ndarray:
    """Resample values to the cell centres (8 j + 3.5, 8 i + 3.5) of the frame, by bilinear interpolation.

    Args:
        values: float32 (H', W') or (H', W', C) at the working resolution; cells of 8x8 px.
        origin_px: (x, y) of the corner of the first cell at the working resolution: 0, or negative where it was padded.
        worked: (height, width) of the working resolution.
        frame: (height, width) of the frame.

    Returns:
        float32 (ceil(H / 8), ceil(W / 8)) or (ceil(H / 8), ceil(W / 8), C).
    """
    rows, columns = -(-frame[0] // CELL_PX), -(-frame[1] // CELL_PX)
    if worked == frame and origin_px == (0, 0):
        return values[:rows, :columns]
    x = _positions(columns, frame[1], worked[1], origin_px[0])
    y = _positions(rows, frame[0], worked[0], origin_px[1])
    map_x, map_y = np.meshgrid(x, y)
    read = cv2.remap(values, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return read.reshape(rows, columns, *values.shape[2:])


def frame_flow(flow_px: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
    """Resample float32 (h, w, 2) in px of the working resolution to (H, W, 2) in px of the frame."""
    worked = flow_px.shape[:2]
    if worked == frame:
        return flow_px
    return cv2.resize(flow_px, frame[::-1], interpolation=cv2.INTER_LINEAR) * _enlargement(worked, frame)


def _positions(cells: int, frame_px: int, worked_px: int, origin_px: int) -> np.ndarray:
    """Where the frame's cell centres lie along one axis of the grid, in cells."""
    centres = (CELL_PX * np.arange(cells) + CELL_PX / 2) * (worked_px / frame_px)
    return ((centres - origin_px) / CELL_PX - 0.5).astype(np.float32)


def _enlargement(worked: tuple[int, ...], frame: tuple[int, int]) -> np.ndarray:
    return np.array([frame[1] / worked[1], frame[0] / worked[0]], np.float32)
