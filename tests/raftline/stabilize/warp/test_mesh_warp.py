"""Images through a mesh."""

from __future__ import annotations

import numpy as np
import pytest

from raftline.camera.mesh import centre_shift, mesh_shape, vertices
from raftline.camera.transforms import transform_points
from raftline.stabilize.warp.crop import zoom_matrix
from raftline.stabilize.warp.mesh_warp import mesh_sources, warp_mesh
from raftline.stabilize.warp.warp import warp_planes
from tests.raftline.synthetic_motion import HEIGHT, WIDTH, similarity, textured

ROWS, COLUMNS = mesh_shape(WIDTH, HEIGHT)
FLAT, STEP = np.zeros((ROWS, COLUMNS)), np.repeat([0.0, 0.8], [5, ROWS - 5])[:, None].repeat(COLUMNS, axis=1)
CORRECTION = zoom_matrix(1.2, WIDTH, HEIGHT) @ similarity(7.0, 4.0, 0.5)
SHIFT = centre_shift(CORRECTION, WIDTH, HEIGHT)
PLANES = (textured(WIDTH, HEIGHT, 0), textured(WIDTH // 2, HEIGHT // 2, 1), textured(WIDTH // 2, HEIGHT // 2, 2))


def sources(gains: np.ndarray, correction: np.ndarray = CORRECTION, sweep: np.ndarray | None = None) -> np.ndarray:
    return mesh_sources(correction, centre_shift(correction, WIDTH, HEIGHT), gains, WIDTH, HEIGHT, sweep)


def test_without_gains_the_image_is_that_of_the_plane() -> None:
    for moved, planned in zip(warp_mesh(PLANES, sources(FLAT)), warp_planes(PLANES, CORRECTION), strict=True):
        off = np.abs(moved.astype(int) - planned)[2:-2, 2:-2]
        assert off.max() <= 3  # both find places to 1/32 px


def test_one_plane_of_packed_color_goes_the_same_way() -> None:
    packed = np.stack([PLANES[0]] * 3, axis=-1)
    moved = warp_mesh((packed,), sources(STEP))[0]
    np.testing.assert_array_equal(moved[..., 1], warp_mesh(PLANES, sources(STEP))[0])


def test_content_of_a_gain_goes_that_much_farther() -> None:
    found = sources(STEP)
    back = np.linalg.inv(CORRECTION)
    shown = vertices(WIDTH, HEIGHT)
    np.testing.assert_allclose(found[1], transform_points(back, shown[1]), atol=1e-9)
    np.testing.assert_allclose(found[-2, 1:-1], transform_points(back, shown[-2, 1:-1] - 0.8 * SHIFT), atol=1e-9)


def test_a_gain_lies_where_the_content_was_not_where_it_is_shown() -> None:
    """A gain in one place alone, and a correction that moves that place by a whole cell."""
    gains = FLAT.copy()
    gains[4, 8] = 0.2
    cell_px = (WIDTH - 1) / (COLUMNS - 1)
    found = sources(gains, similarity(cell_px, 0.0))
    beside = found - transform_points(similarity(-cell_px, 0.0), vertices(WIDTH, HEIGHT))
    strongest = np.unravel_index(np.abs(beside[:, 2:-2, 0]).argmax(), (ROWS, COLUMNS - 4))
    assert strongest == (4, 9 - 2)


def test_no_vertex_shows_what_lies_outside_of_the_frame() -> None:
    found = sources(3 * STEP, zoom_matrix(1.05, WIDTH, HEIGHT) @ similarity(8.0, -8.0))
    assert found.min() >= 0.0 and (found <= (WIDTH - 1, HEIGHT - 1)).all()
    bright = tuple(np.full_like(plane, 200) for plane in PLANES)
    assert all((plane == 200).all() for plane in warp_mesh(bright, found))


def test_chroma_stays_on_its_luma() -> None:
    """A ramp of the same slope in all planes: luma (2 i, 2 j + 0.5) and chroma (i, j) show the same place."""
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    ramp = lambda x, y: np.clip(40 + x / 3 + y / 3, 0, 255)  # noqa: E731
    planes = [np.rint(ramp(x, y)), *[np.rint(ramp(x[::2, ::2], y[::2, ::2] + 0.5))] * 2]
    luma, blue, _ = warp_mesh([plane.astype(np.uint8) for plane in planes], sources(STEP))
    at_chroma = (luma[::2, ::2].astype(float) + luma[1::2, ::2]) / 2
    assert np.abs(at_chroma - blue)[4:-4, 4:-4].max() <= 1.5  # rounding of three values


def test_rows_read_one_after_the_other_are_set_upright_at_once() -> None:
    sweep = similarity(6.0, 0.0)
    found, plain = sources(STEP, sweep=sweep), sources(STEP)
    share = (plain[1:-1, 2:-2, 1] + 0.5) / HEIGHT - 0.5
    np.testing.assert_allclose((found - plain)[1:-1, 2:-2, 0], 6.0 * share, atol=1e-9)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (17, 500)])
def test_small_and_narrow_images_pass(size) -> None:
    width, height = size
    gains = np.ones(mesh_shape(width, height))
    found = mesh_sources(np.eye(3), np.array([1.0, 0.0]), gains, width, height)
    image = np.full((height, width), 7, np.uint8)
    assert (warp_mesh((image,), found)[0] == 7).all()
