from __future__ import annotations

import cv2
import numpy as np
import pytest

from raftline.stabilize.warp.crop import required_zoom, zoom_matrix
from raftline.stabilize.warp.warp import chroma_matrix, warp_image, warp_yuv420
from tests.raftline.synthetic_motion import HEIGHT, WIDTH, similarity, textured


def planes_of(width: int, height: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    half = ((width + 1) // 2, (height + 1) // 2)
    return textured(width, height, seed), textured(*half, seed + 1), textured(*half, seed + 2)


@pytest.mark.parametrize("size", [(320, 180), (321, 179), (33, 31), (2, 2), (1, 1)])
def test_the_identity_changes_nothing_at_any_size(size: tuple[int, int]) -> None:
    planes = planes_of(*size)
    for moved, plane in zip(warp_yuv420(planes, np.eye(3)), planes, strict=True):
        np.testing.assert_array_equal(moved, plane)


def test_whole_pixels_move_exactly_in_luma_and_chroma() -> None:
    luma, blue, red = planes_of(WIDTH, HEIGHT)
    moved = warp_yuv420((luma, blue, red), similarity(4, -2))
    np.testing.assert_array_equal(moved[0][10:100, 10:100], luma[12:102, 6:96])
    np.testing.assert_array_equal(moved[1][10:50, 10:50], blue[11:51, 8:48])
    np.testing.assert_array_equal(moved[2][10:50, 10:50], red[11:51, 8:48])


@pytest.mark.parametrize(("siting", "offset_x"), [("left", 0.0), ("center", 0.5)])
def test_chroma_goes_where_its_luma_goes(siting, offset_x: float) -> None:
    matrix = similarity(3, 1, degrees=10, scale=1.2)
    sample = np.array([30.0, 20.0, 1.0])
    luma_point = np.array([2 * 30 + offset_x, 2 * 20 + 0.5, 1.0])
    moved = chroma_matrix(matrix, siting) @ sample
    expected = matrix @ luma_point
    np.testing.assert_allclose(moved[:2] * 2 + (offset_x, 0.5), expected[:2], atol=1e-9)


@pytest.mark.parametrize("interpolation", ["linear", "cubic", "lanczos"])
def test_back_and_forth_gives_the_image_again(interpolation) -> None:
    image = cv2.GaussianBlur(textured(WIDTH, HEIGHT), (7, 7), 1.5)
    matrix = similarity(1.3, -0.7, degrees=1.0)
    back = warp_image(warp_image(image, matrix, interpolation), np.linalg.inv(matrix), interpolation)
    inner = (slice(10, -10), slice(10, -10))
    error = np.abs(back[inner].astype(int) - image[inner])
    # two interpolations blur by a few grey levels; linear by the most
    assert error.mean() < (3.0 if interpolation == "linear" else 1.0)


def test_a_homography_is_warped_as_one() -> None:
    matrix = similarity(2, 1)
    matrix[2, :2] = (1e-4, -5e-5)
    image = np.zeros((HEIGHT, WIDTH), np.uint8)
    image[88:93, 198:203] = 255
    moved = warp_image(image, matrix, "linear")
    expected = matrix @ np.array([200.0, 90.0, 1.0])
    y, x = np.nonzero(moved > 128)
    np.testing.assert_allclose([x.mean(), y.mean()], expected[:2] / expected[2], atol=0.5)


@pytest.mark.parametrize("interpolation", ["linear", "cubic", "lanczos"])
def test_no_black_pixel_shows_at_the_zoom_that_covers(interpolation) -> None:
    white = np.full((HEIGHT, WIDTH), 235, np.uint8)
    correction = similarity(11.3, -6.1, degrees=3.0, scale=0.98)
    zoom = required_zoom(correction[None], WIDTH, HEIGHT)[0]
    moved = warp_image(white, zoom_matrix(zoom, WIDTH, HEIGHT) @ correction, interpolation)
    assert moved.min() >= 234


def test_color_images_move_as_grey_ones_do() -> None:
    grey = textured(WIDTH, HEIGHT)
    color = np.repeat(grey[:, :, None], 3, axis=2)
    matrix = similarity(3.3, 2.2, degrees=2)
    np.testing.assert_array_equal(warp_image(color, matrix)[..., 1], warp_image(grey, matrix))
