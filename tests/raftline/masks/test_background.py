from __future__ import annotations

import cv2
import numpy as np
import pytest

from raftline.masks.background import RegisteredBackground
from raftline.stabilize.warp.warp import warp_image
from tests.raftline.synthetic_motion import HEIGHT, WIDTH, similarity, textured

WORLD = textured(2 * WIDTH, HEIGHT)
FRAME = WORLD[:, :WIDTH]


def noisy(luma: np.ndarray, seed: int = 0) -> np.ndarray:
    return np.clip(luma + np.random.default_rng(seed).normal(0, 2, luma.shape), 0, 255).astype(np.uint8)


def image_of(luma: np.ndarray) -> np.ndarray:
    return np.stack([luma, np.full_like(luma, 128), np.full_like(luma, 128)], axis=-1)


def test_the_background_goes_along_with_a_camera_that_pans() -> None:
    background, nothing = RegisteredBackground(HEIGHT, WIDTH, 10.0, shadows_out=True), np.zeros((HEIGHT, WIDTH), bool)
    camera = similarity(-3.0, 0.0)
    for at in range(40):
        seen = background.look(image_of(noisy(WORLD[:, 3 * at : 3 * at + WIDTH], at)), camera if at else None)
        background.learn(nothing, nothing, 0.04)
    assert not background.fixed
    # all but what came in lately at the right is known, and looks as it did
    assert seen.known[:, : WIDTH - 24].mean() > 0.95
    assert np.percentile(seen.mahalanobis[seen.known], 99) < 5 * 16


def test_a_camera_that_stands_is_recognised_and_one_that_moves_too() -> None:
    background, nothing = RegisteredBackground(HEIGHT, WIDTH, 10.0, shadows_out=True), np.zeros((HEIGHT, WIDTH), bool)
    for at in range(45):
        image = image_of(noisy(FRAME, at))
        background.stands(image, 0.04)
        background.look(image, None)
        background.learn(nothing, nothing, 0.04)
    assert background.fixed
    assert not background.stands(image_of(noisy(WORLD[:, 2 : 2 + WIDTH])), 0.04) and not background.fixed


@pytest.mark.parametrize("share", [0.7, 1.4])
def test_a_camera_that_stands_still_stands_after_a_jump_of_the_exposure(share: float) -> None:
    background, nothing = RegisteredBackground(HEIGHT, WIDTH, 10.0, shadows_out=True), np.zeros((HEIGHT, WIDTH), bool)
    for at in range(60):
        lit = FRAME * (share if at >= 45 else 1.0)
        image = image_of(noisy(lit, at))
        stands = background.stands(image, 0.04)
        seen = background.look(image, None)
        background.learn(nothing, nothing, 0.04)
        assert stands or at < 45
    assert background.fixed and np.percentile(seen.mahalanobis, 95) < 4 * 16


def seen_by(background: RegisteredBackground, luma: np.ndarray, at: int, x_points: float = 0.0) -> bool:
    image, nothing = image_of(noisy(luma, at)), np.zeros((HEIGHT, WIDTH), bool)
    stands = background.stands(image, 0.04)
    background.look(image, None if stands else similarity(x_points, 0.0))
    background.learn(nothing, nothing, 0.04)
    return stands


def test_a_switch_to_infrared_does_not_move_the_camera_and_a_fast_pan_does() -> None:
    switched, panned = (RegisteredBackground(HEIGHT, WIDTH, 10.0, shadows_out=True) for _ in range(2))
    for at in range(45):
        seen_by(switched, FRAME, at)
        seen_by(panned, FRAME, at)
    infrared = textured(WIDTH, HEIGHT, seed=3)
    assert all(seen_by(switched, infrared, 45 + at) for at in range(60)) and switched.fixed
    pan = [seen_by(panned, WORLD[:, 30 * at : 30 * at + WIDTH], 45 + at, -30.0) for at in range(1, 11)]
    assert not any(pan[6:]) and not panned.fixed


def test_flow_that_drifts_does_not_push_the_background_of_a_camera_that_stands() -> None:
    background = RegisteredBackground(HEIGHT, WIDTH, 10.0, shadows_out=True)
    background.begin_anew(image_of(noisy(FRAME, 0)))
    background.learn_first(np.zeros((HEIGHT, WIDTH), bool))
    stands = [seen_by(background, FRAME, at, 0.8) for at in range(1, 40)]
    assert all(stands) and background.fixed


def test_the_background_stays_sharp_under_a_camera_that_goes_on_zooming() -> None:
    background, nothing = RegisteredBackground(HEIGHT, WIDTH, 10.0, shadows_out=True), np.zeros((HEIGHT, WIDTH), bool)
    zoom = similarity(0.0, 0.0, scale=1.02)
    frames = [noisy(warp_image(FRAME, np.linalg.matrix_power(zoom, at)), at) for at in range(20)]
    for at, frame in enumerate(frames):
        seen = background.look(image_of(frame), zoom if at else None)
        background.learn(nothing, nothing, 0.04)
    assert seen.known.mean() > 0.9
    assert np.percentile(seen.mahalanobis[seen.known], 95) < 3 * 16


def test_a_camera_that_holds_on_for_a_frame_stays_where_it_was_on_the_background() -> None:
    background, nothing = RegisteredBackground(HEIGHT, WIDTH, 10.0, shadows_out=True), np.zeros((HEIGHT, WIDTH), bool)
    at_x = [0, 0, 1, 2, 4, 5, 3, 3]
    for at, (before, x) in enumerate(zip([0, *at_x[:-1]], at_x, strict=True)):
        camera = None if x == before else similarity(float(before - x), 0.0)
        seen = background.look(image_of(noisy(WORLD[:, x : x + WIDTH], at)), camera)
        background.learn(nothing, nothing, 0.04)
    assert seen.known.mean() > 0.9
    assert np.percentile(seen.mahalanobis[seen.known], 99) < 5 * 16


@pytest.mark.parametrize(("blur", "least_sigmas"), [(0.0, 10), (1.5, 5)])
def test_how_faint_a_thing_is_seen_depends_on_how_well_the_frame_fits(blur: float, least_sigmas: float) -> None:
    background, nothing = RegisteredBackground(HEIGHT, WIDTH, 10.0, shadows_out=True), np.zeros((HEIGHT, WIDTH), bool)
    for at in range(20):
        frame = noisy(WORLD[:, 3 * at : 3 * at + WIDTH], at)
        if at == 19:
            frame = np.asarray(cv2.GaussianBlur(frame, (0, 0), blur), np.uint8) if blur else frame
            frame[80:100, 150:190] -= np.minimum(frame[80:100, 150:190], 25)
        seen = background.look(image_of(frame), similarity(-3.0, 0.0) if at else None)
        background.learn(nothing, nothing, 0.04)
    assert np.median(seen.mahalanobis[82:98, 152:188]) > least_sigmas * 16
    assert np.percentile(seen.mahalanobis[seen.known], 95) < 4.5 * 16


def test_the_background_is_known_at_the_third_frame_but_where_something_moved_in_the_first() -> None:
    background, moved = RegisteredBackground(HEIGHT, WIDTH, 10.0, shadows_out=True), np.zeros((HEIGHT, WIDTH), bool)
    moved[60:100, 80:140] = True
    background.begin_anew(image_of(noisy(FRAME, 0)))
    assert background.began_anew
    background.learn_first(moved)
    assert not background.began_anew
    known = []
    for at in (1, 2):
        background.stands(image_of(noisy(FRAME, at)), 0.04)
        known.append(background.look(image_of(noisy(FRAME, at)), None).known)
        background.learn(np.zeros_like(moved), moved, 0.04)
    assert not known[0].any() and np.array_equal(known[1], ~moved)


def test_parallax_before_a_camera_that_moves_is_no_other_exposure() -> None:
    background, nothing = RegisteredBackground(HEIGHT, WIDTH, 10.0, shadows_out=True), np.zeros((HEIGHT, WIDTH), bool)
    near, levels = textured(2 * WIDTH, HEIGHT, seed=8), []
    for at in range(8):
        image = image_of(WORLD[:, 3 * at : 3 * at + WIDTH].copy())
        image[: HEIGHT // 6 * 5, :, 0] = near[: HEIGHT // 6 * 5, 40 * at % WIDTH :][:, :WIDTH]
        levels.append(background.look(image, similarity(-3.0, 0.0) if at else None).illumination_levels)
        background.learn(nothing, nothing, 0.04)
    assert max(levels) < 100


@pytest.mark.parametrize("sigma", [4.0, 8.0, 12.0])
def test_the_background_is_learned_under_strong_noise(sigma: float) -> None:
    rng, small = np.random.default_rng(0), image_of(FRAME[:90, :160] // 2 + 40)
    background, nothing = RegisteredBackground(90, 160, 10.0, shadows_out=True), np.zeros((90, 160), bool)
    background.begin_anew(small)
    levels = 0.0
    for _ in range(15):
        image = np.clip(small + rng.normal(0, sigma, small.shape), 0, 255).astype(np.uint8)
        background.stands(image, 0.1)
        seen = background.look(image, None)
        background.learn(nothing, nothing, 0.1)
        levels = max(levels, seen.illumination_levels)
    assert levels == 0
    assert background.look(image, None).known.all()
