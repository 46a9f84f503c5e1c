from __future__ import annotations

import numpy as np
import pytest

from raftline.camera.transforms import (
    centred_points,
    frame_corners,
    motion_matrices,
    motion_vectors,
    transform_points,
    transform_xy,
)
from tests.raftline.synthetic_motion import HEIGHT, WIDTH, similarity


def test_a_translation_is_its_shift_in_px() -> None:
    vector = motion_vectors(similarity(3.0, -2.0)[None], WIDTH, HEIGHT)[0]
    np.testing.assert_allclose(vector, [0, 0, 3, 0, 0, -2, 0, 0], atol=1e-9)


@pytest.mark.parametrize("size", [(320, 180), (33, 47), (1, 1)])
def test_matrices_survive_the_way_through_vectors(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(0, 0.05 * max(size), (20, 8))
    vectors[:, 6:] *= 0.1
    matrices = motion_matrices(vectors, *size)
    back = motion_matrices(motion_vectors(matrices, *size), *size)
    # the logarithm's series ends after 12 terms; for motions of a twentieth of the frame that is far below 1e-6
    np.testing.assert_allclose(back, matrices, atol=1e-6 * max(size))


@pytest.mark.parametrize("degrees", [0.0, 1e-12, 1e-7, 0.02, 0.08, 3.0, -90.0])
def test_a_turn_and_scale_alone_are_what_they_are_beside_the_least_perspective(degrees: float) -> None:
    """Shifts, turns and scales have a closed form; whatever holds more goes by roots and series."""
    matrix = similarity(12.0, -5.0, degrees=degrees, scale=1.0 + degrees / 200)
    vector = motion_vectors(matrix[None], WIDTH, HEIGHT)
    bent = vector + 1e-9 * np.eye(8)[[6]]
    np.testing.assert_allclose(motion_matrices(vector, WIDTH, HEIGHT)[0], matrix, atol=1e-9)
    np.testing.assert_allclose(motion_matrices(bent, WIDTH, HEIGHT)[0], matrix, atol=1e-6)
    other = motion_vectors(np.stack([matrix, matrix + 1e-9 * np.eye(3)[[2]].T * [1, 0, 0]]), WIDTH, HEIGHT)
    np.testing.assert_allclose(other[0], vector[0], atol=1e-7)


def test_half_the_vector_is_half_the_motion() -> None:
    matrix = similarity(12.0, 5.0, degrees=4.0, scale=1.05)
    half = motion_matrices(motion_vectors(matrix[None], WIDTH, HEIGHT) / 2, WIDTH, HEIGHT)[0]
    np.testing.assert_allclose(half @ half, matrix, atol=1e-7)


def test_a_mirror_is_no_camera_motion() -> None:
    with pytest.raises(ValueError, match="positive determinant"):
        motion_vectors(np.diag([-1.0, 1.0, 1.0])[None], WIDTH, HEIGHT)


def test_points_go_through_each_matrix() -> None:
    matrices = np.stack([similarity(1, 0), similarity(0, 2)])
    moved = transform_points(matrices, frame_corners(WIDTH, HEIGHT))
    np.testing.assert_allclose(moved[0] - frame_corners(WIDTH, HEIGHT), [[1, 0]] * 4, atol=1e-9)
    np.testing.assert_allclose(moved[1] - frame_corners(WIDTH, HEIGHT), [[0, 2]] * 4, atol=1e-9)


def test_coordinates_in_arrays_of_their_own_go_where_points_go() -> None:
    matrix = np.array([[1.02, -0.03, 4.0], [0.01, 0.98, -2.0], [1e-5, -2e-5, 1.0]])
    points = frame_corners(WIDTH, HEIGHT)
    np.testing.assert_allclose(np.stack(transform_xy(matrix, *points.T), axis=1), transform_points(matrix, points))
    x, y = transform_xy(matrix.astype(np.float32), *points.astype(np.float32).T)
    assert x.dtype == y.dtype == np.float32


def test_centred_corners_are_one_unit_from_the_origin() -> None:
    np.testing.assert_allclose(np.hypot(*centred_points(frame_corners(WIDTH, HEIGHT).T, WIDTH, HEIGHT)), 1.0)
