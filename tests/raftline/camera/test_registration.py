from __future__ import annotations

import cv2
import numpy as np
import pytest

from raftline.camera.registration import farthest, fits_in_place, keypoints, register
from raftline.masks.background import SceneModel
from raftline.stabilize.warp.warp import warp_image
from tests.raftline.synthetic_motion import HEIGHT, WIDTH, similarity, textured

WORLD = textured(2 * WIDTH, HEIGHT)
FRAME = WORLD[:, :WIDTH]
KNOWN = np.ones((HEIGHT, WIDTH), bool)


def noisy(luma: np.ndarray, seed: int = 0) -> np.ndarray:
    return np.clip(luma + np.random.default_rng(seed).normal(0, 2, luma.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("moved", [similarity(0.6, -0.4), similarity(2.0, 1.0, degrees=0.3, scale=1.003)])
def test_a_frame_is_placed_to_a_fraction_of_a_point(moved: np.ndarray) -> None:
    template = keypoints(FRAME.astype(np.float32), KNOWN)
    assert template is not None
    image = noisy(warp_image(FRAME, moved))
    image[50:110, 60:140] = 255 - image[50:110, 60:140]  # something that is not background
    found, fits = register(image, template, np.eye(3))
    assert fits and farthest(np.linalg.inv(moved) @ found, FRAME.shape) < 0.15


def test_another_image_does_not_fit() -> None:
    template = keypoints(FRAME.astype(np.float32), KNOWN)
    assert template is not None
    found, fits = register(textured(WIDTH, HEIGHT, seed=9), template, np.eye(3))
    assert not fits and np.array_equal(found, np.eye(3))


def test_a_blank_wall_has_no_keypoints() -> None:
    assert keypoints(np.full((HEIGHT, WIDTH), 90, np.float32), KNOWN) is None


def image_of(luma: np.ndarray) -> np.ndarray:
    return np.stack([luma, np.full_like(luma, 128), np.full_like(luma, 128)], axis=-1)


def test_the_background_goes_along_with_a_camera_that_pans() -> None:
    scene, nothing = SceneModel(HEIGHT, WIDTH, 10.0, shadows_out=True), np.zeros((HEIGHT, WIDTH), bool)
    camera = similarity(-3.0, 0.0)
    for at in range(40):
        seen = scene.look(image_of(noisy(WORLD[:, 3 * at : 3 * at + WIDTH], at)), camera if at else None)
        scene.learn(nothing, nothing, 0.04)
    assert not scene.fixed
    # all but what came in lately at the right is known, and looks as it did
    assert seen.known[:, : WIDTH - 24].mean() > 0.95
    assert np.percentile(seen.evidence[seen.known], 99) < 5 * 16


def test_a_camera_that_stands_is_recognised_and_one_that_moves_too() -> None:
    scene, nothing = SceneModel(HEIGHT, WIDTH, 10.0, shadows_out=True), np.zeros((HEIGHT, WIDTH), bool)
    for at in range(45):
        image = image_of(noisy(FRAME, at))
        scene.stands(image, 0.04)
        scene.look(image, None)
        scene.learn(nothing, nothing, 0.04)
    assert scene.fixed
    assert not scene.stands(image_of(noisy(WORLD[:, 2 : 2 + WIDTH])), 0.04) and not scene.fixed


@pytest.mark.parametrize("contrast", [1.0, 0.3])
def test_a_frame_that_fits_elsewhere_hardly_better_lies_in_place(contrast: float) -> None:
    low = 70 + contrast * (FRAME.astype(np.float32) - 128)
    template = keypoints(low, KNOWN)
    assert template is not None
    wobble = similarity(0.3, -0.2)
    assert fits_in_place(noisy(low), template, wobble)
    for moved in (similarity(0.8, -0.6), similarity(4.0, 2.0)):
        image = noisy(warp_image(np.rint(low).astype(np.uint8), moved))
        assert not fits_in_place(image, template, moved)


@pytest.mark.parametrize("share", [0.7, 1.4])
def test_a_camera_that_stands_still_stands_after_a_jump_of_the_exposure(share: float) -> None:
    scene, nothing = SceneModel(HEIGHT, WIDTH, 10.0, shadows_out=True), np.zeros((HEIGHT, WIDTH), bool)
    for at in range(60):
        lit = FRAME * (share if at >= 45 else 1.0)
        image = image_of(noisy(lit, at))
        stands = scene.stands(image, 0.04)
        seen = scene.look(image, None)
        scene.learn(nothing, nothing, 0.04)
        assert stands or at < 45
    assert scene.fixed and np.percentile(seen.evidence, 95) < 4 * 16


def seen_by(scene: SceneModel, luma: np.ndarray, at: int, x_points: float = 0.0) -> bool:
    image, nothing = image_of(noisy(luma, at)), np.zeros((HEIGHT, WIDTH), bool)
    stands = scene.stands(image, 0.04)
    scene.look(image, None if stands else similarity(x_points, 0.0))
    scene.learn(nothing, nothing, 0.04)
    return stands


def test_a_switch_to_infrared_does_not_move_the_camera_and_a_fast_pan_does() -> None:
    switched, panned = (SceneModel(HEIGHT, WIDTH, 10.0, shadows_out=True) for _ in range(2))
    for at in range(45):
        seen_by(switched, FRAME, at)
        seen_by(panned, FRAME, at)
    infrared = textured(WIDTH, HEIGHT, seed=3)
    assert all(seen_by(switched, infrared, 45 + at) for at in range(60)) and switched.fixed
    pan = [seen_by(panned, WORLD[:, 30 * at : 30 * at + WIDTH], 45 + at, -30.0) for at in range(1, 11)]
    assert not any(pan[6:]) and not panned.fixed


def test_flow_that_drifts_does_not_push_the_background_of_a_camera_that_stands() -> None:
    scene = SceneModel(HEIGHT, WIDTH, 10.0, shadows_out=True)
    scene.begin_anew(image_of(noisy(FRAME, 0)))
    scene.learn_first(np.zeros((HEIGHT, WIDTH), bool))
    stands = [seen_by(scene, FRAME, at, 0.8) for at in range(1, 40)]
    assert all(stands) and scene.fixed


def test_a_camera_that_turns_is_followed_in_perspective() -> None:
    template = keypoints(FRAME.astype(np.float32), KNOWN)
    assert template is not None
    moved = similarity(1.5, -1.0)
    moved[2, 0] = 8e-5  # 2 points at the corners
    image = noisy(warp_image(FRAME, moved))
    (flat, _), (found, fits) = (
        register(image, template, np.eye(3), perspective=perspective) for perspective in (False, True)
    )
    off = [farthest(np.linalg.inv(moved) @ each, FRAME.shape) for each in (flat, found)]
    assert fits and off[1] < 0.15 and off[0] > 0.5


def test_the_background_stays_sharp_under_a_camera_that_goes_on_zooming() -> None:
    scene, nothing = SceneModel(HEIGHT, WIDTH, 10.0, shadows_out=True), np.zeros((HEIGHT, WIDTH), bool)
    zoom = similarity(0.0, 0.0, scale=1.02)
    frames = [noisy(warp_image(FRAME, np.linalg.matrix_power(zoom, at)), at) for at in range(20)]
    for at, frame in enumerate(frames):
        seen = scene.look(image_of(frame), zoom if at else None)
        scene.learn(nothing, nothing, 0.04)
    assert seen.known.mean() > 0.9
    assert np.percentile(seen.evidence[seen.known], 95) < 3 * 16


def test_a_camera_that_holds_on_for_a_frame_stays_where_it_was_on_the_background() -> None:
    scene, nothing = SceneModel(HEIGHT, WIDTH, 10.0, shadows_out=True), np.zeros((HEIGHT, WIDTH), bool)
    at_x = [0, 0, 1, 2, 4, 5, 3, 3]
    for at, (before, x) in enumerate(zip([0, *at_x[:-1]], at_x, strict=True)):
        camera = None if x == before else similarity(float(before - x), 0.0)
        seen = scene.look(image_of(noisy(WORLD[:, x : x + WIDTH], at)), camera)
        scene.learn(nothing, nothing, 0.04)
    assert seen.known.mean() > 0.9
    assert np.percentile(seen.evidence[seen.known], 99) < 5 * 16


@pytest.mark.parametrize(("blur", "least_sigmas"), [(0.0, 10), (1.5, 5)])
def test_how_faint_a_thing_is_seen_depends_on_how_well_the_frame_fits(blur: float, least_sigmas: float) -> None:
    scene, nothing = SceneModel(HEIGHT, WIDTH, 10.0, shadows_out=True), np.zeros((HEIGHT, WIDTH), bool)
    for at in range(20):
        frame = noisy(WORLD[:, 3 * at : 3 * at + WIDTH], at)
        if at == 19:
            frame = np.asarray(cv2.GaussianBlur(frame, (0, 0), blur), np.uint8) if blur else frame
            frame[80:100, 150:190] -= np.minimum(frame[80:100, 150:190], 25)
        seen = scene.look(image_of(frame), similarity(-3.0, 0.0) if at else None)
        scene.learn(nothing, nothing, 0.04)
    assert np.median(seen.evidence[82:98, 152:188]) > least_sigmas * 16
    assert np.percentile(seen.evidence[seen.known], 95) < 4.5 * 16


def test_the_background_is_known_at_the_third_frame_but_where_something_moved_in_the_first() -> None:
    scene, moved = SceneModel(HEIGHT, WIDTH, 10.0, shadows_out=True), np.zeros((HEIGHT, WIDTH), bool)
    moved[60:100, 80:140] = True
    scene.begin_anew(image_of(noisy(FRAME, 0)))
    assert scene.began_anew
    scene.learn_first(moved)
    assert not scene.began_anew
    known = []
    for at in (1, 2):
        scene.stands(image_of(noisy(FRAME, at)), 0.04)
        known.append(scene.look(image_of(noisy(FRAME, at)), None).known)
        scene.learn(np.zeros_like(moved), moved, 0.04)
    assert not known[0].any() and np.array_equal(known[1], ~moved)
