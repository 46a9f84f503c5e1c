from __future__ import annotations

import numpy as np
import pytest

from raftline.camera.registration import farthest, fits_in_place, keypoints, register
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
