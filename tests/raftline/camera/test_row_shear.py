"""What rows that are read one after the other leave in the flow."""

from __future__ import annotations

import numpy as np
import pytest

from raftline.camera.row_shear import row_shear
from tests.raftline.synthetic_motion import HEIGHT, grid_flow, similarity

TEXTURE = np.random.default_rng(4).uniform(0, 1, (23, 40))


def sheared(shear_px: float, stretch_px: float) -> np.ndarray:
    matrix = np.eye(3)
    matrix[0, 1], matrix[1, 1] = shear_px / HEIGHT, 1 + stretch_px / HEIGHT
    return matrix


def test_turn_zoom_and_shift_are_no_shear() -> None:
    found = row_shear(grid_flow(similarity(5, -3, degrees=1.0, scale=1.01)), TEXTURE, HEIGHT)
    assert found is not None
    np.testing.assert_allclose(found, (0, 0), atol=1e-3)


@pytest.mark.parametrize(("shear_px", "stretch_px"), [(2.0, 0.0), (0.0, -1.5), (-1.0, 3.0)])
def test_shear_and_stretch_are_told_from_turn_and_zoom(shear_px: float, stretch_px: float) -> None:
    flow_px = grid_flow(similarity(2, 1, degrees=-0.5, scale=0.995) @ sheared(shear_px, stretch_px))
    found = row_shear(flow_px, TEXTURE, HEIGHT)
    assert found is not None
    np.testing.assert_allclose(found, (shear_px, stretch_px), atol=0.05)


def test_flow_that_is_no_number_takes_no_part() -> None:
    flow_px = grid_flow(sheared(2.0, 0.0))
    flow_px[3:9, 4:20] = np.nan
    found = row_shear(flow_px, TEXTURE, HEIGHT)
    assert found is not None
    np.testing.assert_allclose(found, (2.0, 0.0), atol=0.01)


def test_a_frame_without_texture_tells_nothing() -> None:
    assert row_shear(grid_flow(sheared(2.0, 0.0)), 0.01 * TEXTURE, HEIGHT) is None


def test_one_row_of_cells_tells_nothing() -> None:
    weights = np.zeros_like(TEXTURE)
    weights[7] = 1.0
    assert row_shear(grid_flow(sheared(2.0, 0.0)), weights, HEIGHT) is None
