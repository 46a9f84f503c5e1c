from __future__ import annotations

import cv2
import numpy as np
import pytest

from raftline.camera.working_grid import WorkingGrid
from raftline.masks.gaussian_mixture import DOUBT, LEARN, SKIP, STEPS_PER_SIGMA, GaussianMixture
from raftline.masks.illumination import illumination_change
from tests.raftline.synthetic_motion import HEIGHT, WIDTH, textured

STEP = 0.04
ALL = np.full((HEIGHT, WIDTH), LEARN, np.uint8)
SPOT = (slice(50, 90), slice(100, 150))


def color(luma: np.ndarray, rng: np.random.Generator, blue: float = 110, red: float = 140) -> np.ndarray:
    image = np.stack([luma, np.full_like(luma, blue), np.full_like(luma, red)], axis=-1).astype(np.float32)
    return np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def learned() -> tuple[GaussianMixture, np.ndarray, np.random.Generator]:
    rng, world = np.random.default_rng(0), textured(WIDTH, HEIGHT).astype(np.float32)
    background = GaussianMixture(HEIGHT, WIDTH, memory_seconds=10.0)
    for _ in range(20):
        background.learn(color(world, rng), ALL, STEP)
    return background, world, rng


def test_nothing_is_said_before_something_is_known() -> None:
    background = GaussianMixture(10, 12, 10.0)
    assert not background.known.any() and not background.mahalanobis(np.full((10, 12, 3), 200, np.uint8))[0].any()


def test_a_point_is_known_when_it_was_seen_twice_and_in_doubt_when_twice_as_often() -> None:
    rng, world = np.random.default_rng(0), textured(WIDTH, HEIGHT).astype(np.float32)
    background, how = GaussianMixture(HEIGHT, WIDTH, 10.0), ALL.copy()
    how[SPOT], how[:9] = DOUBT, SKIP
    shares = []
    for _ in range(5):
        background.learn(color(world, rng), how, STEP)
        known = background.known
        shares.append((known[100:].mean(), known[SPOT].mean(), known[:9].mean()))
    assert shares == [(0, 0, 0), (1, 0, 0), (1, 0, 0), (1, 1, 0), (1, 1, 0)]


def test_what_was_not_there_stands_out_and_noise_does_not(learned: tuple) -> None:
    background, world, rng = learned
    image = color(world, rng)
    image[SPOT][..., 0] = 255 - image[SPOT][..., 0]
    distance = background.mahalanobis(image)[0] / STEPS_PER_SIGMA
    inside = np.zeros(distance.shape, bool)
    inside[SPOT] = True
    assert np.percentile(distance[~inside], 99.9) < 4.0 and np.median(distance[inside]) > 6.0


def test_what_swings_between_two_colors_becomes_background(learned: tuple) -> None:
    background, world, rng = learned
    other = world.copy()
    other[SPOT] += 40
    for at in range(200):
        background.learn(color(other if at % 3 else world, rng), ALL, STEP)
    for image in (world, other):
        assert np.percentile(background.mahalanobis(color(image, rng))[0][SPOT], 95) < 4 * STEPS_PER_SIGMA


def test_what_moves_is_not_learned(learned: tuple) -> None:
    background, world, rng = learned
    how, other = ALL.copy(), world.copy()
    how[SPOT] = SKIP
    other[SPOT] += 60
    for _ in range(200):
        background.learn(color(other, rng), how, STEP)
    assert np.median(background.mahalanobis(color(other, rng))[0][SPOT]) > 6 * STEPS_PER_SIGMA


def test_a_shadow_is_told_from_something_dark(learned: tuple) -> None:
    background, world, rng = learned
    shaded, dark = world.copy(), world.copy()
    shaded[SPOT] *= 0.6
    dark[SPOT] = 0.6 * textured(50, 40, seed=5)
    for luma, share in ((shaded, (0.8, 1.0)), (dark, (0.0, 0.3))):
        image = color(luma, rng)
        # the chroma of what is in the shade is less by the same share
        image[SPOT][..., 1:] = (128 + 0.6 * (image[SPOT][..., 1:].astype(float) - 128)).astype(np.uint8)
        found = background.shadows(image, background.mahalanobis(image)[0])[SPOT][4:-4, 4:-4].mean()
        assert share[0] <= found <= share[1]


def test_the_model_moves_with_the_camera_by_whole_points(learned: tuple) -> None:
    background, world, rng = learned
    background.shift(12, -5)
    moved = np.roll(world, (-5, 12), (0, 1))
    distance, _ = background.mahalanobis(color(moved, rng))
    assert np.percentile(distance[:-5, 12:], 99) < 4 * STEPS_PER_SIGMA
    assert not background.known[-5:].any() and not background.known[:, :12].any()


def test_a_jump_of_the_exposure_is_followed(learned: tuple) -> None:
    background, world, rng = learned
    brighter = color(1.25 * world, rng)
    change = illumination_change(brighter, *background.sampled(1))
    assert change.kind == "followed" and change.curves is not None and change.levels > 10
    background.follow(change)
    assert np.percentile(background.mahalanobis(brighter)[0], 95) < 4 * STEPS_PER_SIGMA


def test_after_another_illumination_altogether_the_background_begins_anew(learned: tuple) -> None:
    background, _, rng = learned
    infrared = color(textured(WIDTH, HEIGHT, seed=3).astype(np.float32), rng, blue=128, red=128)
    assert illumination_change(infrared, *background.sampled(1)).kind == "anew"


def test_something_that_moves_through_is_no_change_of_illumination(learned: tuple) -> None:
    background, world, rng = learned
    other = world.copy()
    other[20:110, 80:200] = textured(120, 90, seed=7)
    assert illumination_change(color(other, rng), *background.sampled(1)).kind == "none"


@pytest.mark.parametrize("size", [(1920, 1080), (1281, 721), (640, 360), (33, 17), (1, 1)])
def test_a_grid_covers_frames_of_every_size_and_format(size: tuple[int, int]) -> None:
    width, height = size
    grid = WorkingGrid(width, height)
    luma = np.full((height, width), 100, np.uint8)
    chroma = np.full((-(-height // 2), -(-width // 2)), 90, np.uint8)
    rgb = np.full((height, width, 3), 100, np.uint8)
    for planes in ((luma, chroma, chroma), (luma,), (rgb,)):
        image = grid.image(planes)
        assert image.shape == (*grid.shape, 3) and (image[..., 0] == 100).all()
    assert grid.full_size(np.ones(grid.shape, bool)).shape == (height, width)
    assert grid.full_size(np.ones(grid.shape, bool)).min() == 255 and max(grid.shape) <= 960


def test_colors_follow_a_jump_of_the_exposure(learned: tuple) -> None:
    _, world, rng = learned
    blue, red = 96 + 0.2 * world, np.full_like(world, 150)
    red[SPOT] = 190  # few points are as colorful
    background = GaussianMixture(HEIGHT, WIDTH, memory_seconds=10.0)

    def image(gain: float) -> np.ndarray:
        exact = np.stack([gain * world, 128 + gain * (blue - 128), 128 + gain * (red - 128)], axis=-1)
        return np.clip(exact + rng.normal(0, 2, exact.shape), 0, 255).astype(np.uint8)

    for _ in range(20):
        background.learn(image(1.0), ALL, STEP)
    change = illumination_change(image(1.4), *background.sampled(1))
    assert change.kind == "followed" and change.curves is not None
    background.follow(change)
    distance = background.mahalanobis(image(1.4))[0]
    assert np.percentile(distance, 95) < 4 * STEPS_PER_SIGMA
    assert np.median(distance[SPOT]) < 3 * STEPS_PER_SIGMA


def test_a_switch_that_luma_nearly_survives_begins_anew(learned: tuple) -> None:
    background, world, rng = learned
    infrared = world.copy()
    infrared[:, : WIDTH // 3] = 255 - infrared[:, : WIDTH // 3]
    grey = color(infrared, rng, blue=128, red=128)
    assert illumination_change(grey, *background.sampled(1)).kind == "anew"


def test_a_white_balance_that_lifts_a_channel_beyond_white_is_followed() -> None:
    rng = np.random.default_rng(5)
    scene = rng.uniform(30, 190, (60, 80, 3)).astype(np.float32)
    scene[:12] = (90, 165, 225)
    gains = np.array([0.8, 1.0, 1.3], np.float32)
    background = GaussianMixture(60, 80, memory_seconds=10.0)
    for _ in range(20):
        background.learn(as_yuv(scene, rng), np.full((60, 80), LEARN, np.uint8), STEP)
    change = illumination_change(as_yuv(scene * gains, rng), *background.sampled(1))
    assert change.kind == "followed"
    background.follow(change)
    distance = background.mahalanobis(as_yuv(scene * gains, rng))[0]
    assert np.median(distance[:12]) < 1.2 * STEPS_PER_SIGMA


def test_what_dim_light_made_uncertain_is_certain_again_two_seconds_after_it_is_light() -> None:
    rng, world = np.random.default_rng(0), textured(WIDTH, HEIGHT).astype(np.float32)
    background = GaussianMixture(HEIGHT, WIDTH, memory_seconds=10.0)
    for gain in [1.0] * 20 + [0.8, 0.6, 0.4, 0.2, 0.1, 0.2, 0.4, 0.6, 0.8] + [1.0] * 20:
        image = color(gain * world, rng)
        change = illumination_change(image, *background.sampled(1))
        if change.kind == "followed":
            background.follow(change)
        background.learn(image, ALL, 0.1)
    other = world.copy()
    other[SPOT] = np.where(world[SPOT] > 128, world[SPOT] - 40, world[SPOT] + 40)
    distance = background.mahalanobis(color(other, rng))[0]
    assert np.median(distance[SPOT]) > 4 * STEPS_PER_SIGMA


def as_yuv(scene: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    noisy = np.clip(scene + rng.normal(0, 2, scene.shape), 0, 255)
    return cv2.cvtColor(np.rint(noisy).astype(np.uint8), cv2.COLOR_RGB2YUV)
