from __future__ import annotations

import numpy as np

from raftline.camera.transforms import motion_matrices
from raftline.stabilize.warp.crop import covers, fitting_share, required_zoom, zoom_matrix
from tests.raftline.synthetic_motion import HEIGHT, WIDTH, similarity


def test_a_shift_needs_the_zoom_that_its_margin_says() -> None:
    corrections = np.stack([np.eye(3), similarity(8, 0), similarity(0, -8)])
    zoom = required_zoom(corrections, WIDTH, HEIGHT)
    # px at the centres of the outermost pixels count, and a hundredth of a px of border is allowed
    np.testing.assert_allclose(zoom, [1, 1 / (1 - 2 * 8 / (WIDTH - 1)), 1 / (1 - 2 * 8 / (HEIGHT - 1))], atol=2e-4)


def test_what_needs_more_than_the_most_gets_the_most() -> None:
    assert required_zoom(similarity(5000, 0)[None], WIDTH, HEIGHT, most=3.0)[0] == 3.0


def test_a_correction_is_cut_to_what_fits() -> None:
    vectors = np.zeros((2, 8))
    vectors[:, 2] = (4, 40)
    share = fitting_share(vectors, 1.1, WIDTH, HEIGHT)
    assert share[0] == 1.0
    np.testing.assert_allclose(share[1] * 40, 0.5 * (1 - 1 / 1.1) * (WIDTH - 1), atol=0.05)
    moved = zoom_matrix(1.1, WIDTH, HEIGHT) @ motion_matrices(vectors * share[:, None], WIDTH, HEIGHT)
    assert covers(moved, WIDTH, HEIGHT).all()


def test_perspective_counts() -> None:
    tilted = np.eye(3)
    tilted[2, 0] = 1e-3
    assert not covers(tilted[None], WIDTH, HEIGHT)[0]
    assert required_zoom(tilted[None], WIDTH, HEIGHT)[0] > 1.05


def test_a_frame_turned_inside_out_covers_nothing() -> None:
    behind = np.eye(3)
    behind[2, 0] = 1.0
    assert not covers(behind[None], WIDTH, HEIGHT)[0]
