from __future__ import annotations

import numpy as np
import pytest

from raftline.masks.depth_layers import depth_layers
from raftline.masks.residual_motion import cell_residual
from tests.raftline.synthetic_motion import HEIGHT, WIDTH, grid_flow, similarity

CAMERA = similarity(-3.0, 0.5, scale=1.002)
ROWS, COLUMNS = grid_flow(CAMERA).shape[:2]


def found(part: np.ndarray, flow_px: np.ndarray) -> np.ndarray:
    """With `flow_px` in a part of the grid and the camera's motion elsewhere, both noisy."""
    grid = np.where(part[..., None], flow_px, grid_flow(CAMERA))
    grid = (grid + np.random.default_rng(0).normal(0, 0.15, grid.shape)).astype(np.float32)
    residual = cell_residual(grid, CAMERA)
    return depth_layers(grid, residual, np.hypot(residual[..., 0], residual[..., 1]) > 1.0, WIDTH, HEIGHT)


def area(rows: tuple[float, float], columns: tuple[float, float] = (0.0, 1.0)) -> np.ndarray:
    y, x = np.mgrid[0:ROWS, 0:COLUMNS]
    y, x = (y + 0.5) / ROWS, (x + 0.5) / COLUMNS
    return (rows[0] <= y) & (y < rows[1]) & (columns[0] <= x) & (x < columns[1])


@pytest.mark.parametrize("part", [area((0.65, 1.0)), area((0.0, 1.0), (0.6, 1.0))])
def test_ground_and_walls_nearer_than_the_rest_are_scenery(part: np.ndarray) -> None:
    nearer = grid_flow(similarity(-9.0, 1.5, scale=1.006))
    layers = found(part, nearer)
    assert layers[part].mean() > 0.97 and layers[~part].mean() < 0.03


def test_what_moves_in_the_nearer_layer_is_no_scenery() -> None:
    part, thing = area((0.4, 1.0)), area((0.65, 0.85), (0.3, 0.5))
    flow = np.where(thing[..., None], np.array([4, -3], np.float32), grid_flow(similarity(-9.0, 0.0)))
    assert not found(part, flow)[thing].any()


def test_what_runs_along_the_edge_of_a_nearer_layer_is_no_scenery() -> None:
    ground, thing = area((0.65, 1.0)), area((0.45, 0.75), (0.4, 0.5))
    flow = np.where(thing[..., None], np.array([9, 1], np.float32), grid_flow(similarity(-5.0, 0.5, scale=1.002)))
    layers = found(ground | thing, flow)
    assert layers[ground & ~thing].mean() > 0.9 and not layers[thing].any()


@pytest.mark.parametrize(
    "part",
    [area((0.3, 0.7), (0.2, 0.8)), area((0.35, 0.7)), area((0.1, 1.0), (0.4, 0.6)), area((0.94, 1.0))],
    ids=["in the middle", "a lorry across the frame", "somebody near", "a little at the rim"],
)
def test_large_things_are_no_scenery(part: np.ndarray) -> None:
    assert not found(part, np.full((ROWS, COLUMNS, 2), (6, 0), np.float32)).any()


def test_a_crowd_that_shares_no_motion_is_no_scenery() -> None:
    each = np.random.default_rng(1).normal(0, 8, (ROWS, COLUMNS, 2)).astype(np.float32)
    assert not found(area((0.5, 1.0)), each).any()


def test_without_motion_there_are_no_layers() -> None:
    assert not found(area((0.0, 0.0)), np.zeros((ROWS, COLUMNS, 2), np.float32)).any()
