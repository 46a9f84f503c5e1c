from __future__ import annotations

import numpy as np

from raftline.stabilize.path.constrained_smoothing import constrained_path, corner_displacements, corner_margin
from tests.raftline.synthetic_motion import HEIGHT, WIDTH

TIMES = np.arange(20) / 30


def corners_of(vectors: np.ndarray) -> np.ndarray:
    return vectors @ corner_displacements(WIDTH, HEIGHT).T


def test_a_constrained_path_leads_back_into_the_margin_smoothly_and_leaves_the_rest_alone() -> None:
    margin = corner_margin(1.1, WIDTH, HEIGHT)
    beside = np.zeros((20, 8))
    beside[:, 2] = (margin[0] + 3.0) * np.exp(-(((TIMES - 0.4) / 0.08) ** 2))
    begun = TIMES[0] - np.arange(3, 0, -1) / 30
    way = constrained_path(begun, np.zeros((3, 8)), TIMES, beside, 1.5, margin, (WIDTH, HEIGHT))
    assert np.abs(beside[:, 2]).max() > margin[0] + 2.5
    assert (np.abs(corners_of(beside + way)) <= margin + 0.1).all()  # px; 100 rounds of the solver
    assert np.abs(np.diff(way[:, 2], 2)).max() < 0.3 * np.abs(np.diff(beside[:, 2], 2)).max()
    np.testing.assert_allclose(np.delete(way, 2, axis=1), 0.0, atol=1e-9)


def test_nothing_beside_the_path_needs_no_constraint() -> None:
    margin = corner_margin(1.1, WIDTH, HEIGHT)
    nothing = constrained_path(np.empty(0), np.empty((0, 8)), TIMES, np.zeros((20, 8)), 1.5, margin, (WIDTH, HEIGHT))
    np.testing.assert_array_equal(nothing, 0.0)


def test_a_constrained_path_goes_on_from_where_it_was() -> None:
    begun = TIMES[0] - np.arange(3, 0, -1) / 30
    held = np.zeros((3, 8))
    held[:, 2] = 4.0, 4.1, 4.2
    margin = corner_margin(1.1, WIDTH, HEIGHT)
    way = constrained_path(begun, held, TIMES, np.zeros((20, 8)), 1.5, margin, (WIDTH, HEIGHT))
    every = np.concatenate([held, way])[:, 2]
    assert np.abs(np.diff(every, 2)).max() < 0.2 and abs(every[-1]) < 1.0
