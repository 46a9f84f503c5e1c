"""Flow from the working resolution, at which it was estimated, to the resolution of the frame."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from raftline.kernels.cell import CELL_PX
from raftline.raft.padding import Padding


class Cells(NamedTuple):
    """Where the cells of 8x8 px of a grid lie on an image."""

    height: int
    width: int
    """Of the image, px."""
    rows: int
    columns: int
    top: int = 0
    left: int = 0
    """Pixels of the first row and column of cells that lie outside of the image."""

    @classmethod
    def of(cls, height: int, width: int) -> Cells:
        """Those that begin at the image's corner."""
        return cls(height, width, -(-height // CELL_PX), -(-width // CELL_PX))

    @classmethod
    def padded(cls, height: int, width: int, padding: Padding) -> Cells:
        """Those of an image that was padded."""
        rows = (height + padding.top + padding.bottom) // CELL_PX
        columns = (width + padding.left + padding.right) // CELL_PX
        return cls(height, width, rows, columns, padding.top, padding.left)


def working_size(height: int, width: int, max_side_px: int | None) -> tuple[int, int]:
    """Compute the (height, width) to work at, with the longer side at most `max_side_px`."""
    longer = max(height, width)
    if max_side_px is None or longer <= max_side_px:
        return height, width
    scale = max_side_px / longer
    return max(1, round(height * scale)), max(1, round(width * scale))


def to_level(width: int, height: int, level_width: int, level_height: int) -> np.ndarray:
    """Return the transform (3, 3) from px of a frame to px of a level; the areas of pixels coincide."""
    x_scale, y_scale = level_width / width, level_height / height
    return np.array([[x_scale, 0.0, (x_scale - 1) / 2], [0.0, y_scale, (y_scale - 1) / 2], [0.0, 0.0, 1.0]])


def resampled_flow(flow: np.ndarray, source: Cells, target: Cells) -> np.ndarray:
    """Resample flow to the cell centers of the same frame at another size, like `resampled`, and scale it with it."""
    cells = resampled(flow, source, target)
    if (source.height, source.width) == (target.height, target.width):
        return cells
    return cells * _enlargement((source.height, source.width), (target.height, target.width))


def resampled(values: np.ndarray, source: Cells, target: Cells) -> np.ndarray:
    """Resample values to the cell centers of the same frame at another size, by bilinear interpolation.

    Args:
        values: float32 (rows, columns) or (rows, columns, C) of the source.
        source, target: where the cells lie.

    Returns:
        float32 (rows, columns) or (rows, columns, C) of the target.
    """
    if source[:2] == target[:2] and source[4:] == target[4:]:
        return values[: target.rows, : target.columns]
    x = _positions(target.columns, target.left, source.left, source.width / target.width)
    y = _positions(target.rows, target.top, source.top, source.height / target.height)
    map_x, map_y = np.meshgrid(x, y)
    read = cv2.remap(values, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return read.reshape(target.rows, target.columns, *values.shape[2:])


def frame_flow(flow_px: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
    """Resample float32 (h, w, 2) in px of the working resolution to (H, W, 2) in px of the frame."""
    worked = flow_px.shape[:2]
    if worked == frame:
        return flow_px
    return cv2.resize(flow_px, frame[::-1], interpolation=cv2.INTER_LINEAR) * _enlargement(worked, frame)


def _positions(cells: int, outside_px: int, source_outside_px: int, scale: float) -> np.ndarray:
    """Where the target's cell centers lie along one axis of the source, in cells."""
    centers = (CELL_PX * np.arange(cells) + CELL_PX / 2 - outside_px) * scale
    return ((centers + source_outside_px) / CELL_PX - 0.5).astype(np.float32)


def _enlargement(worked: tuple[int, ...], frame: tuple[int, int]) -> np.ndarray:
    return np.array([frame[1] / worked[1], frame[0] / worked[0]], np.float32)
