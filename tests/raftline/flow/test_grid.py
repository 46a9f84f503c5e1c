from __future__ import annotations

import numpy as np
import pytest

from raftline.flow.grid import Cells, frame_flow, resampled_flow, working_size


def field(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A flow that is linear in place, so that bilinear interpolation is exact."""
    return np.stack([0.1 * x - 0.02 * y + 1, 0.05 * y - 3], axis=-1).astype(np.float32)


def cells(rows: int, columns: int, left: int, top: int, scale: float) -> np.ndarray:
    """The field at the cell centres of an image that is the frame made smaller by `scale` and then padded."""
    x, y = np.meshgrid(8 * np.arange(columns) + 4 - left, 8 * np.arange(rows) + 4 - top)
    return field(x / scale - 0.5, y / scale - 0.5) * np.float32(scale)


@pytest.mark.parametrize(
    ("height", "width", "left", "top", "scale"),
    [(240, 320, 0, 0, 1), (241, 321, 3, 3, 1), (100, 50, 39, 14, 1), (480, 640, 0, 0, 0.5), (361, 641, 4, 2, 0.5)],
)
def test_the_grid_is_that_of_the_frame_whatever_was_padded_or_made_smaller(height, width, left, top, scale):
    worked = (round(height * scale), round(width * scale))
    rows, columns = -(-(worked[0] + 2 * top) // 8), -(-(worked[1] + 2 * left) // 8)
    source = Cells(*worked, rows, columns, top, left)
    grid = resampled_flow(cells(rows, columns, left, top, scale), source, Cells.of(height, width))
    x, y = np.meshgrid(8 * np.arange(-(-width // 8)) + 3.5, 8 * np.arange(-(-height // 8)) + 3.5)
    assert grid.shape == (*x.shape, 2)
    # The outermost cells may lie beyond the last sample, and repeat it; a size that rounds moves places by 0.2 %.
    np.testing.assert_allclose(grid[1:-1, 1:-1], field(x, y)[1:-1, 1:-1], atol=1e-3 if scale == 1 else 0.15)


def test_flow_at_every_pixel_is_scaled_with_the_image():
    flow = np.full((10, 20, 2), [1, 2], np.float32)
    full = frame_flow(flow, (30, 40))
    assert full.shape == (30, 40, 2)
    np.testing.assert_allclose(full, np.broadcast_to([2, 6], full.shape), rtol=1e-6)


@pytest.mark.parametrize(
    ("size", "limit", "expected"),
    [
        ((480, 640), None, (480, 640)),
        ((480, 640), 640, (480, 640)),
        ((1080, 1920), 960, (540, 960)),
        ((2000, 3), 64, (64, 1)),
    ],
)
def test_the_working_size_keeps_proportions_and_is_never_empty(size, limit, expected):
    assert working_size(size[0], size[1], limit) == expected
