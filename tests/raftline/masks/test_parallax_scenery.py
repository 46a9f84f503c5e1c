from __future__ import annotations

import numpy as np
import pytest

from raftline.masks.parallax_scenery import DepthShown, parallax_scenery, shows_depth

ROWS, COLUMNS = 24, 40
TREE, POST, RIDER, BALL = (np.s_[2:14, 3:6], np.s_[:20, 30:32], np.s_[13:18, 18:22], np.s_[16:19, 34:37])
HORIZON = np.s_[:7, 10:25]


def scene(depth_px: float, turn_px: float = -3.0, roll: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flow, what the ground's plane leaves of it, and the moving cells.

    The camera goes to the right, and turns; ground at the bottom goes by `depth_px` farther than the horizon.
    """
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:ROWS, 0:COLUMNS].astype(np.float32)
    nearness = np.maximum((y - 8) / (ROWS - 9), 0.1)
    moving = np.zeros((ROWS, COLUMNS), bool)
    nearness[TREE], nearness[POST] = 0.35, 0.9
    flow = np.stack([turn_px - depth_px * nearness, np.zeros_like(y)], axis=-1)
    flow += rng.normal(0, 0.03, flow.shape)
    flow[RIDER], flow[BALL] = (0.3, 0.0), (turn_px - 0.5 * depth_px, 4.0)
    plane = np.stack([turn_px - depth_px * (y - 8) / (ROWS - 9), np.zeros_like(y)], axis=-1)
    turned = roll * np.stack([-(y - ROWS / 2), x - COLUMNS / 2], axis=-1)
    residual = (flow - plane).astype(np.float32)
    moving = np.hypot(*np.moveaxis(residual, -1, 0)) > 1.0
    return (flow + turned).astype(np.float32), residual, moving


def share(scenery: np.ndarray | None, moving: np.ndarray, part: tuple[slice, slice]) -> float:
    """How much of the moving cells of a part is scenery."""
    assert scenery is not None and moving[part].any()
    return float(scenery[part][moving[part]].mean())


@pytest.mark.parametrize(("turn_px", "roll"), [(-3.0, 0.0), (-3.0, 0.05), (-0.5, 0.0), (2.0, 0.0)])
def test_what_is_as_fast_as_scenery_is_scenery_and_who_is_followed_is_not(turn_px: float, roll: float) -> None:
    """Also where the ground's plane, seen beyond the horizon, would go the other way."""
    flow, residual, moving = scene(4.0, turn_px, roll)
    scenery = parallax_scenery(flow, residual, moving)
    assert all(share(scenery, moving, part) > 0.9 for part in (TREE, POST, HORIZON))
    assert share(scenery, moving, BALL) == 0.0
    assert turn_px > 0 or share(scenery, moving, RIDER) == 0.0  # it would be as fast as what is near


def test_it_is_so_from_right_to_left_too() -> None:
    flow, residual, moving = scene(4.0)
    mirrored = np.array((-1, 1), np.float32)
    scenery = parallax_scenery(flow * mirrored, residual * mirrored, moving)
    assert share(scenery, moving, TREE) > 0.9 and share(scenery, moving, RIDER) == 0.0


def test_layers_show_depth_where_all_but_one_count_as_moving() -> None:
    """A horizon that is rigid and large takes the camera's plane: what follows it shows no depth."""
    flow, _, _ = scene(4.0)
    residual = flow - flow[HORIZON].mean(axis=(0, 1), dtype=np.float32)
    moving = np.abs(residual[..., 0]) > 0.3
    scenery = parallax_scenery(flow, residual, moving)
    assert share(scenery, moving, np.s_[20:, :]) > 0.9 and share(scenery, moving, TREE) > 0.9
    assert share(scenery, moving, RIDER) == 0.0


def test_a_scene_in_one_plane_shows_no_parallax_whoever_moves_in_it() -> None:
    flow, residual, moving = scene(0.0)
    assert moving[RIDER].all() and moving[BALL].all()
    assert parallax_scenery(flow, residual, moving) is None


def test_depth_is_seen_beside_what_moves() -> None:
    _, residual, moving = scene(4.0)
    spread = residual + np.random.default_rng(1).normal(0, (0.4, 0.0), residual.shape).astype(np.float32)
    assert shows_depth(spread, moving)
    assert not shows_depth(*scene(0.0)[1:])


def test_some_frames_that_show_depth_by_chance_do_not_count() -> None:
    depth = DepthShown()
    assert not depth.mostly
    for at in range(30):
        depth.take(at % 5 > 2)
        assert at < 5 or not depth.mostly
    for _ in range(12):
        depth.take(True)
    assert depth.mostly


def test_depth_goes_on_where_its_state_was_taken() -> None:
    one, other = DepthShown(), DepthShown()
    for shown in (True, False, True):
        one.take(shown)
    other.restore_full(one.full_state())
    assert other.full_state() == one.full_state() and other.mostly
