"""Cubic interpolation along lines."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from raftline.stabilize.warp.cubic_lines import crossed_by_lines, warp_lines
from raftline.stabilize.warp.warp import warp_image
from tests.raftline.synthetic_motion import HEIGHT, WIDTH, similarity, textured


def lines_of(matrix: np.ndarray, width: int, height: int, pieces: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Knots and sources of a plane transform (3, 3), px of the image to px of the output."""
    back = np.linalg.inv(matrix)
    knots, rows = np.linspace(0.0, width, pieces + 1), np.arange(height)[:, None]
    source_x, source_y = (back[axis, 0] * knots + back[axis, 1] * rows + back[axis, 2] for axis in (0, 1))
    return knots, source_x, source_y


def opencv(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    size = (image.shape[1], image.shape[0])
    return cv2.warpAffine(image, matrix[:2], size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


@pytest.mark.parametrize("degrees", [-8.0, -0.5, 0.0, 0.01, 3.0])
@pytest.mark.parametrize("scale", [0.8, 0.84, 0.9, 1.0, 1.13, 1.24, 2.5])
def test_the_result_is_that_of_opencv_within_a_grey_level(degrees: float, scale: float) -> None:
    image = cv2.GaussianBlur(textured(WIDTH, HEIGHT), (3, 3), 0.8)
    matrix = similarity(2.3, -4.7, degrees, scale)
    found = warp_lines(image, *lines_of(matrix, WIDTH, HEIGHT))
    inside = opencv(np.pad(np.full((HEIGHT - 4, WIDTH - 4), 255, np.uint8), 2), matrix) == 255
    off = np.abs(found.astype(int) - opencv(image, matrix))[inside]
    # Along a turned line, texture of two px is interpolated over steps that are longer by the turn's cosine.
    assert off.max() <= (1 if abs(degrees) < 1 else 5)
    assert off.mean() < 0.1


def test_pieces_join_without_a_seam() -> None:
    image, matrix = textured(WIDTH, HEIGHT), similarity(2.3, -4.7, 1.5, 1.1)
    one, many = (warp_lines(image, *lines_of(matrix, WIDTH, HEIGHT, pieces)) for pieces in (1, 7))
    assert np.abs(one.astype(int) - many).max() <= 1


@pytest.mark.parametrize("shift", [(5.0, 0.0), (-400.0, 3.0), (400.0, -3.0), (0.0, 300.0), (0.0, -300.0)])
def test_outside_the_outermost_pixels_repeat(shift: tuple[float, float]) -> None:
    image, matrix = textured(WIDTH, HEIGHT), similarity(*shift)
    np.testing.assert_array_equal(warp_lines(image, *lines_of(matrix, WIDTH, HEIGHT)), opencv(image, matrix))


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 2), (3, 5), (130, 33), (129, 31)])
def test_images_of_any_size_pass(size: tuple[int, int]) -> None:
    image, matrix = textured(*size), similarity(0.3, -0.4, 0.2, 1.01)
    off = np.abs(warp_image(image, matrix).astype(int) - opencv(image, matrix))
    assert off.max() <= 1


@pytest.mark.parametrize("degrees", [20.0, 90.0, 180.0, -90.0])
def test_steep_and_backward_lines_are_left_to_opencv(degrees: float) -> None:
    image, matrix = textured(WIDTH, HEIGHT), similarity(0.0, 0.0, degrees)
    assert not crossed_by_lines(*lines_of(matrix, WIDTH, HEIGHT))
    np.testing.assert_array_equal(warp_image(image, matrix), opencv(image, matrix))


def test_sources_that_are_no_number_are_not_taken() -> None:
    knots, source_x, source_y = lines_of(np.eye(3), WIDTH, HEIGHT)
    source_x[3, 1] = np.nan
    assert not crossed_by_lines(knots, source_x, source_y)


@pytest.mark.parametrize("tilt", [1e-6, -3e-5, 2e-4])
def test_under_perspective_the_result_is_that_of_opencv_within_a_grey_level(tilt: float) -> None:
    image, matrix = cv2.GaussianBlur(textured(WIDTH, HEIGHT), (3, 3), 0.8), similarity(2.3, -4.7, 0.5, 1.1)
    matrix[2, :2] = tilt, -tilt / 2
    found = warp_image(image, matrix).astype(int)
    size = (WIDTH, HEIGHT)
    expected = cv2.warpPerspective(image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    assert np.abs(found - expected)[4:-4, 4:-4].max() <= 1


def test_stronger_perspective_is_followed_by_shorter_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    image, matrix = textured(640, 360), similarity(2.3, -4.7, 0.5, 1.15)
    matrix[2, :2] = 4e-5, -2e-5
    matrix[0, 0] += 0.03
    expected = cv2.warpPerspective(image, matrix, (640, 360), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    monkeypatch.delattr(cv2, "warpPerspective")
    found = warp_image(image, matrix).astype(int)
    assert np.abs(found - expected)[4:-4, 4:-4].max() <= 2
