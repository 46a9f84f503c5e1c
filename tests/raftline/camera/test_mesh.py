"""The mesh: where its vertices are, and what lies between them."""

from __future__ import annotations

import numpy as np
import pytest

from raftline.camera.mesh import centre_shift, hat_weights, mesh_shape, mesh_smoothness, vertices
from tests.raftline.synthetic_motion import similarity


@pytest.mark.parametrize(
    ("size", "shape"), [((640, 360), (10, 17)), ((360, 640), (17, 10)), ((500, 500), (17, 17)), ((2000, 9), (2, 17))]
)
def test_cells_are_about_square_and_at_most_sixteen_along_a_side(size, shape) -> None:
    assert mesh_shape(*size) == shape


def test_the_outermost_vertices_are_the_outermost_pixels() -> None:
    corners = vertices(641, 361)[[0, 0, -1, -1], [0, -1, 0, -1]]
    np.testing.assert_array_equal(corners, [[0, 0], [640, 0], [0, 360], [640, 360]])


def test_what_lies_between_vertices_is_linear() -> None:
    places = np.linspace(0, 99, 37)
    shares = hat_weights(places, 100, 6)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    np.testing.assert_allclose(shares @ np.linspace(0, 99, 6), places, atol=1e-12)


def test_beyond_the_outermost_vertices_they_alone_count() -> None:
    np.testing.assert_array_equal(hat_weights(np.array([-5.0, 200.0]), 100, 3), [[1, 0, 0], [0, 0, 1]])


def test_roughness_is_the_sum_of_squared_steps_between_neighbours() -> None:
    values = np.array([[1.0, 2.0, 4.0], [1.0, 0.0, 4.0]])
    steps = 1 + 4 + 1 + 16 + 0 + 4 + 0
    banded = mesh_smoothness(2, 3)
    upper = np.sum([np.diag(banded[3 - above, above:], above) for above in range(4)], axis=0)
    whole = upper + upper.T - np.diag(banded[3])
    assert values.ravel() @ whole @ values.ravel() == pytest.approx(steps)


def test_a_turn_about_the_centre_does_not_shift_it() -> None:
    np.testing.assert_allclose(centre_shift(similarity(3.0, -2.0, 5.0, 1.1), 320, 180), [3.0, -2.0], atol=1e-9)
