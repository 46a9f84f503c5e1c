"""Tests of where flow and background agree."""

from __future__ import annotations

import numpy as np

from raftline.masks.foreground import trimmed
from raftline.masks.gaussian_mixture import STEPS_PER_SIGMA

THING, WIDER = np.s_[10:20, 10:16], np.s_[9:21, 9:17]


def masks() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What moves with a rim of one point, the distance of a thing of one plain color, and a background all known."""
    moves, distance = np.zeros((30, 30), bool), np.full((30, 30), STEPS_PER_SIGMA, np.uint8)
    moves[WIDER], distance[THING] = True, 10 * STEPS_PER_SIGMA
    return moves, distance, np.ones((30, 30), bool)


def test_the_rim_that_looks_like_the_background_goes() -> None:
    moves, distance, known = masks()
    expected = np.zeros_like(moves)
    expected[THING] = True
    assert np.array_equal(trimmed(moves, distance, known), expected)


def test_a_plain_inside_and_what_lies_before_no_background_stay() -> None:
    moves, distance, known = masks()
    distance[12:18, 12:14] = STEPS_PER_SIGMA
    assert trimmed(moves, distance, known)[THING].all()
    assert np.array_equal(trimmed(moves, distance, ~known), moves)
