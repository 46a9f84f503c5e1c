from __future__ import annotations

import numpy as np
import pytest

from raftline.camera.camera_motion import CameraMotion, fit_camera_motion
from raftline.camera.direct_alignment import align, refined_motion
from raftline.camera.luma_pyramid import LumaPyramid
from raftline.camera.plane_models import PLANE_MODELS
from raftline.camera.texture import texture_weights
from raftline.camera.transforms import frame_corners, transform_points
from raftline.stabilize.warp.warp import warp_image
from tests.raftline.synthetic_motion import HEIGHT, WIDTH, grid_flow, similarity, textured

TRUTH = similarity(3.3, -2.6, degrees=0.7, scale=1.004)
EVERYWHERE = np.ones((-(-HEIGHT // 8), -(-WIDTH // 8)))


def corner_error_px(matrix: np.ndarray) -> float:
    corners = frame_corners(WIDTH, HEIGHT)
    return float(np.abs(transform_points(matrix, corners) - transform_points(TRUTH, corners)).max())


def noisy(image: np.ndarray, sigma: float, seed: int, light: float = 1.0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, sigma, image.shape)
    return np.clip(image * light + noise, 0, 255).astype(np.uint8)


def rough_fit(sigma_px: float, seed: int = 3) -> tuple[CameraMotion, np.ndarray]:
    flow = grid_flow(TRUTH) + np.random.default_rng(seed).normal(0, sigma_px, (*EVERYWHERE.shape, 2)) + 0.15
    return fit_camera_motion(flow, WIDTH, HEIGHT), flow


def test_flow_that_is_wrong_all_over_by_a_little_is_put_right() -> None:
    before = textured(WIDTH, HEIGHT)
    after = warp_image(before, TRUTH)
    motion, flow = rough_fit(0.3)
    assert corner_error_px(motion.matrix) > 0.15  # the flow is 0.15 px off everywhere
    refined = refined_motion(motion, LumaPyramid.of(before), LumaPyramid.of(after), flow, "similarity")
    assert corner_error_px(refined.matrix) < 0.06  # 1/32 px is what OpenCV rounds its warps to


def test_in_the_dark_all_texture_together_still_tells_the_motion() -> None:
    before, after = textured(WIDTH, HEIGHT), warp_image(textured(WIDTH, HEIGHT), TRUTH)
    dark = [LumaPyramid.of(noisy(each, 12, seed, light=0.4)) for seed, each in enumerate((before, after))]
    motion, flow = rough_fit(1.0)
    refined = refined_motion(motion, dark[0], dark[1], flow, "similarity")
    assert corner_error_px(refined.matrix) < min(0.25, corner_error_px(motion.matrix))


def test_a_patch_on_a_blank_wall_is_enough_for_a_turn() -> None:
    wall = np.full((HEIGHT, WIDTH), 150, np.uint8)
    wall[50:120, 110:210] = textured(WIDTH, HEIGHT)[50:120, 110:210]
    images = [noisy(each, 1, seed) for seed, each in enumerate((wall, warp_image(wall, TRUTH)))]
    flow = grid_flow(TRUTH) + np.random.default_rng(0).normal(0, 0.3, (*EVERYWHERE.shape, 2))
    motion = fit_camera_motion(flow, WIDTH, HEIGHT, "similarity", texture_weights(images[1]))
    before, after = (LumaPyramid.of(each) for each in images)
    refined = refined_motion(motion, before, after, flow, "similarity")
    assert refined.model == "similarity" and refined.confidence > 0.8
    assert corner_error_px(refined.matrix) < 0.15


def test_a_blank_wall_alone_tells_nothing() -> None:
    blank = LumaPyramid.of(np.full((HEIGHT, WIDTH), 150, np.uint8))
    assert align(blank, blank, np.eye(3), PLANE_MODELS["similarity"], EVERYWHERE) is None


def test_what_moves_by_itself_takes_no_part() -> None:
    before = textured(WIDTH, HEIGHT)
    after = warp_image(before, TRUTH)
    thing = np.s_[40:140, 60:260]  # 35 % of the image
    after[thing] = warp_image(textured(WIDTH, HEIGHT, 7), similarity(-6, 5))[thing]
    before[thing] = textured(WIDTH, HEIGHT, 7)[thing]
    flow = grid_flow(TRUTH)
    flow[5:18, 7:33] = (-6, 5)
    motion = fit_camera_motion(flow, WIDTH, HEIGHT)
    refined = refined_motion(motion, LumaPyramid.of(before), LumaPyramid.of(after), flow, "similarity")
    assert corner_error_px(refined.matrix) < 0.1


def test_another_exposure_is_no_motion() -> None:
    before = textured(WIDTH, HEIGHT)
    after = np.clip(warp_image(before, TRUTH) * 0.8 + 20, 0, 255).astype(np.uint8)
    motion, flow = rough_fit(0.3)
    refined = refined_motion(motion, LumaPyramid.of(before), LumaPyramid.of(after), flow, "similarity")
    assert corner_error_px(refined.matrix) < 0.08


def test_images_that_do_not_belong_together_change_nothing() -> None:
    motion, flow = rough_fit(0.3)
    images = LumaPyramid.of(textured(WIDTH, HEIGHT, 1)), LumaPyramid.of(textured(WIDTH, HEIGHT, 2))
    refined = refined_motion(motion, *images, flow, "similarity")
    assert corner_error_px(refined.matrix) < 1.0


@pytest.mark.parametrize("size", [(1, 1), (20, 9), (1, 700)])
def test_images_too_small_to_compare_are_left_to_the_flow(size: tuple[int, int]) -> None:
    pyramid = LumaPyramid.of(textured(*size))
    assert (
        align(pyramid, pyramid, np.eye(3), PLANE_MODELS["similarity"], np.ones((-(-size[1] // 8), -(-size[0] // 8))))
        is None
    )


def test_the_points_compared_are_the_strongest_trusted_ones_of_each_two_by_two_px() -> None:
    pyramid = LumaPyramid.of(textured(WIDTH, HEIGHT))
    trust = EVERYWHERE.copy()
    trust[:, : trust.shape[1] // 2] = 0.0
    points, image = pyramid.points(0, trust), pyramid.levels[0]
    rows, columns = image.shape
    half_diagonal = 0.5 * np.hypot(columns - 1, rows - 1)
    x, y = np.rint(points.local * half_diagonal + [[(columns - 1) / 2], [(rows - 1) / 2]]).astype(int)
    np.testing.assert_array_equal(points.value, image[y, x])
    np.testing.assert_allclose(points.gradient, [(image[y, x + 1] - image[y, x - 1]) / 2,
                                                 (image[y + 1, x] - image[y - 1, x]) / 2], atol=1e-6)  # fmt: skip
    assert x.min() >= columns // 2 - 4 and (points.trust == 1.0).all()
    down, across = np.gradient(image)
    strongest = (across**2 + down**2)[: rows // 2 * 2, : columns // 2 * 2]
    strongest[[0, -1]] = strongest[:, [0, -1]] = 0.0
    strongest = strongest.reshape(rows // 2, 2, columns // 2, 2).max(axis=(1, 3))
    np.testing.assert_allclose((points.gradient**2).sum(axis=0), strongest[y // 2, x // 2], rtol=1e-5)
    assert len(set(zip(x // 2, y // 2, strict=True))) == len(x) == (strongest[:, columns // 4 :] > 0).sum()
