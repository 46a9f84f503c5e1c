from __future__ import annotations

import numpy as np

from raftline.masks.parallax_scenery import DepthShown, parallax_scenery, shows_depth

ROWS, COLUMNS = 20, 30
PLANE_PX = np.array([-5.0, 0.3], np.float32)
TREE, RIDER, BALL = (np.s_[4:12, 3:6], np.s_[8:12, 14:17], np.s_[14:17, 24:27])


def scene(depth_px: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flow, what the plane leaves of it, and the moving cells; the ground besides the plane spreads by `depth_px`."""
    rng = np.random.default_rng(0)
    left = rng.normal(0, 0.03, (ROWS, COLUMNS, 2)).astype(np.float32)
    left[..., 0] += rng.normal(0, depth_px, (ROWS, COLUMNS)).astype(np.float32)
    moving = np.zeros((ROWS, COLUMNS), bool)
    for thing, motion in ((TREE, (-1.5, 0.0)), (RIDER, (4.5, 0.0)), (BALL, (-1.0, 3.0))):
        left[thing], moving[thing] = motion, True
    return PLANE_PX + left, left, moving


def test_what_passes_by_faster_in_a_scene_of_many_depths_is_scenery_and_who_is_followed_is_not() -> None:
    scenery = parallax_scenery(*scene(0.4))
    assert scenery is not None and scenery[TREE].all()
    assert not scenery[RIDER].any() and not scenery[BALL].any()


def test_a_scene_in_one_plane_shows_no_parallax() -> None:
    assert parallax_scenery(*scene(0.0)) is None


def test_before_a_camera_that_hardly_moves_nothing_is_near_scenery() -> None:
    _, left, moving = scene(0.4)
    scenery = parallax_scenery(left + np.float32(0.2), left, moving)
    assert scenery is not None and not scenery.any()


def test_depth_is_seen_beside_what_moves() -> None:
    assert shows_depth(*scene(0.4)[1:])
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
