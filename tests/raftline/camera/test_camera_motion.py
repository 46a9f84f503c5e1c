from __future__ import annotations

import cv2
import numpy as np
import pytest

from raftline.camera.camera_motion import CameraMotion, fit_camera_motion, grid_centres
from raftline.camera.texture import texture_weights
from raftline.camera.transforms import frame_corners, transform_points
from tests.raftline.synthetic_motion import HEIGHT, WIDTH, grid_flow, similarity, textured

TRUTH = similarity(4.0, -3.0, degrees=0.8, scale=1.01)


def corner_error_px(matrix: np.ndarray, truth: np.ndarray) -> float:
    corners = frame_corners(WIDTH, HEIGHT)
    return float(np.abs(transform_points(matrix, corners) - transform_points(truth, corners)).max())


def noisy(flow: np.ndarray, sigma_px: float, seed: int = 0) -> np.ndarray:
    return flow + np.random.default_rng(seed).normal(0, sigma_px, flow.shape).astype(np.float32)


@pytest.mark.parametrize("model", ["similarity", "affine", "homography"])
def test_noise_averages_out(model) -> None:
    motion = fit_camera_motion(noisy(grid_flow(TRUTH), 0.2), WIDTH, HEIGHT, model)
    # 920 cells of sigma 0.2: about 0.02 px where four parameters are fitted, several times that for eight
    assert corner_error_px(motion.matrix, TRUTH) < 0.15
    assert motion.model == model and not motion.reason
    assert motion.confidence > 0.8


def test_a_perspective_motion_is_followed_where_a_homography_is_asked_for() -> None:
    truth = TRUTH.copy()
    truth[2, :2] = (2e-4, -1e-4)
    motion = fit_camera_motion(grid_flow(truth), WIDTH, HEIGHT, "homography")
    assert corner_error_px(motion.matrix, truth / truth[2, 2]) < 0.01


@pytest.mark.parametrize("share", [0.25, 0.45])
def test_moving_objects_are_left_out(share: float) -> None:
    flow = noisy(grid_flow(TRUTH), 0.1)
    rows, columns = flow.shape[:2]
    high, wide = int(rows * np.sqrt(share)), int(columns * np.sqrt(share))
    top, left = (rows - high) // 2, (columns - wide) // 2
    flow[top : top + high, left : left + wide] += (5.0, 2.0)
    motion = fit_camera_motion(flow, WIDTH, HEIGHT)
    assert corner_error_px(motion.matrix, TRUTH) < 0.1
    assert motion.inlier_share == pytest.approx(1 - share, abs=0.06)


@pytest.mark.parametrize("own_px", [(5, 2), (-3, 4), (2, -1.5)])
def test_a_thing_that_fills_three_fifths_of_the_picture_is_not_taken_for_the_world_around_it(own_px) -> None:
    flow = noisy(grid_flow(TRUTH), 0.1)
    rows, columns = flow.shape[:2]
    high, wide = round(rows * 0.775), round(columns * 0.775)
    top, left = (rows - high) // 2, (columns - wide) // 2
    flow[top : top + high, left : left + wide] += own_px
    assert corner_error_px(fit_camera_motion(flow, WIDTH, HEIGHT).matrix, TRUTH) < 0.1


def test_of_two_layers_the_larger_one_is_followed_and_not_a_mean_of_both() -> None:
    far, near = grid_flow(TRUTH), grid_flow(similarity(1.8 * 4.0, 1.8 * -3.0, degrees=0.8, scale=1.01))
    near_from = round(far.shape[0] * 0.58)
    flow = noisy(np.concatenate([far[:near_from], near[near_from:]]), 0.1)
    assert corner_error_px(fit_camera_motion(flow, WIDTH, HEIGHT).matrix, TRUTH) < 0.1


def test_wild_flow_is_left_out() -> None:
    flow = noisy(grid_flow(TRUTH), 0.1)
    rng = np.random.default_rng(1)
    wild = rng.random(flow.shape[:2]) < 0.35
    flow[wild] = rng.uniform(-60, 60, (int(wild.sum()), 2))
    flow[0, 0] = np.nan
    assert corner_error_px(fit_camera_motion(flow, WIDTH, HEIGHT).matrix, TRUTH) < 0.1


def test_flow_at_every_pixel_gives_what_the_grid_gives() -> None:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    points = np.stack([x, y], axis=-1).reshape(-1, 2)
    full = (transform_points(TRUTH, points) - points).reshape(HEIGHT, WIDTH, 2).astype(np.float16)
    # float16 resolves 1/256 px at this size
    assert corner_error_px(fit_camera_motion(full, WIDTH, HEIGHT).matrix, TRUTH) < 0.01


def test_a_blank_wall_says_nothing_and_does_not_move_the_frame() -> None:
    wall = np.full((HEIGHT, WIDTH), 120.0) + np.random.default_rng(0).normal(0, 4, (HEIGHT, WIDTH))
    weights = texture_weights(wall.astype(np.uint8))
    flow = np.random.default_rng(1).normal(0, 2, grid_flow(np.eye(3)).shape).astype(np.float32)
    motion = fit_camera_motion(flow, WIDTH, HEIGHT, weights=weights)
    assert motion.model == "none" and motion.confidence == 0.0
    assert "texture" in motion.reason
    np.testing.assert_array_equal(motion.matrix, np.eye(3))


def test_an_image_on_a_blank_wall_is_believed_and_the_wall_is_not() -> None:
    image = np.full((HEIGHT, WIDTH), 120, np.uint8)
    image[40:150, 60:200] = textured(140, 110)
    flow = np.random.default_rng(1).normal(0, 1, grid_flow(TRUTH).shape).astype(np.float32)
    flow[5:19, 7:26] = grid_flow(TRUTH)[5:19, 7:26]
    motion = fit_camera_motion(flow, WIDTH, HEIGHT, weights=texture_weights(image))
    assert corner_error_px(motion.matrix, TRUTH) < 0.3


def test_a_small_patch_gives_a_translation_and_says_why() -> None:
    weights = np.zeros(grid_flow(TRUTH).shape[:2])
    weights[8:14, 10:17] = 1.0
    motion = fit_camera_motion(noisy(grid_flow(similarity(3, 1)), 0.5), WIDTH, HEIGHT, "homography", weights)
    assert motion.model == "translation"
    assert motion.reason.startswith("homography: expected error")
    np.testing.assert_allclose(motion.matrix[:2, 2], [3, 1], atol=0.5)


def test_the_same_flow_gives_the_same_motion() -> None:
    flow = noisy(grid_flow(TRUTH), 0.5)
    first, second = (fit_camera_motion(flow, WIDTH, HEIGHT) for _ in range(2))
    np.testing.assert_array_equal(first.matrix, second.matrix)


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (17, 9)])
def test_tiny_frames_do_not_break(size: tuple[int, int]) -> None:
    flow = np.zeros((-(-size[1] // 8), -(-size[0] // 8), 2), np.float32)
    assert isinstance(fit_camera_motion(flow, *size), CameraMotion)


def test_a_wrong_shape_is_refused_with_both_sizes() -> None:
    with pytest.raises(ValueError, match=r"\(10, 10, 2\).*\(23, 40, 2\)"):
        fit_camera_motion(np.zeros((10, 10, 2), np.float32), WIDTH, HEIGHT)
    with pytest.raises(ValueError, match="weights"):
        fit_camera_motion(grid_flow(TRUTH), WIDTH, HEIGHT, weights=np.ones((2, 2)))


def test_texture_counts_and_a_lone_edge_does_not() -> None:
    image = np.full((HEIGHT, WIDTH), 90, np.uint8)
    image[:, 250:] = 180
    image[40:150, 20:150] = textured(130, 110)
    weights = texture_weights(image)
    assert weights.shape == (23, 40)
    assert np.median(weights[6:18, 4:17]) > 0.6
    assert weights[:, 29:33].max() < 0.05
    assert weights[:, 35:].max() == 0.0


def test_texture_is_found_under_noise() -> None:
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(textured(WIDTH, HEIGHT), (3, 3), 0) + rng.normal(0, 8, (HEIGHT, WIDTH))
    assert np.median(texture_weights(np.clip(image, 0, 255).astype(np.uint8))) > 0.5


def test_rows_read_while_the_camera_begins_to_turn_do_not_pass_for_a_turn() -> None:
    rows, columns = -(-HEIGHT // 8), -(-WIDTH // 8)
    x, y = np.meshgrid(*grid_centres(rows, columns))
    x, y = x - (WIDTH - 1) / 2, y - (HEIGHT - 1) / 2
    bend = 2e-5 * np.stack([-y * y, x * y], axis=-1)  # 0.3 px where it is largest
    weights = np.where(np.arange(rows)[:, None] < rows // 2, 0.05, 1.0) * np.ones((1, columns))
    truth = similarity(4.0, -2.0, 0.3)
    turned = {}
    for model in ("affine", "rolling_shutter"):
        found = fit_camera_motion(grid_flow(truth) + bend, WIDTH, HEIGHT, model, weights)
        turned[model] = abs(found.matrix[1, 0] - truth[1, 0]) * WIDTH / 2
    # px at the side
    assert turned["rolling_shutter"] < 0.01 < 0.1 < turned["affine"]
