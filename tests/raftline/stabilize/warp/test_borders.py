from __future__ import annotations

import numpy as np
import pytest

from raftline.stabilize.warp.borders import Borders
from raftline.stabilize.warp.warp import warp_planes
from tests.raftline.synthetic_motion import HEIGHT, WIDTH, similarity, textured

WORLD = textured(WIDTH + 80, HEIGHT + 80)
CENTRE = np.s_[40 : 40 + HEIGHT, 40 : 40 + WIDTH]


def planes() -> tuple[np.ndarray, ...]:
    half = (WIDTH // 2, HEIGHT // 2)
    return textured(WIDTH, HEIGHT), textured(*half, 1), textured(*half, 2)


@pytest.mark.parametrize("border", ["mirror", "blur", "fill"])
def test_the_frame_itself_is_shown_as_it_is(border) -> None:
    matrix = similarity(12.5, -7.25, degrees=2)
    for shown, plain in zip(Borders(border)(planes(), matrix), warp_planes(planes(), matrix), strict=True):
        rows, columns = plain.shape
        inner = np.s_[rows // 4 : rows // 2, columns // 3 : columns // 2]
        assert np.abs(shown[inner].astype(int) - plain[inner]).max() <= 1  # OpenCV's and our own rounding


@pytest.mark.parametrize("border", ["mirror", "blur", "fill"])
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (33, 21)])
def test_no_border_is_black_at_any_size(border, size: tuple[int, int]) -> None:
    plane = np.full((size[1], size[0]), 90, np.uint8)
    shown = Borders(border)((plane,), np.array([[1.0, 0, 1.5], [0, 1, -0.5], [0, 0, 1]]))[0]
    assert shown.shape == plane.shape and shown.min() >= 89


def test_what_was_seen_before_fills_the_border() -> None:
    borders = Borders("fill")
    borders((WORLD[CENTRE],), np.eye(3))
    moved = WORLD[40 : 40 + HEIGHT, 70 : 70 + WIDTH]  # the camera went 30 px to the right; the output stands still
    shown = borders((moved,), similarity(30, 0), np.eye(3))[0]
    assert np.abs(shown.astype(int) - WORLD[CENTRE]).max() <= 1


def test_what_was_seen_before_moves_along_with_an_intended_pan() -> None:
    borders = Borders("fill")
    borders((WORLD[CENTRE],), np.eye(3))
    moved = WORLD[40 : 40 + HEIGHT, 70 : 70 + WIDTH]
    shown = borders((moved,), similarity(20, 0), similarity(-10, 0))[0]
    assert np.abs(shown[10:-10, :-10].astype(int) - WORLD[50 : 30 + HEIGHT, 50 : 40 + WIDTH]).mean() < 1


def test_after_a_cut_nothing_of_the_old_shot_is_shown() -> None:
    borders = Borders("fill")
    borders((np.full((HEIGHT, WIDTH), 250, np.uint8),), np.eye(3))
    shown = borders((np.full((HEIGHT, WIDTH), 40, np.uint8),), similarity(30, 10), None)[0]
    assert shown.max() <= 41
