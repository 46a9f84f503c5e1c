"""Black bars around a film."""

from __future__ import annotations

import numpy as np
import pytest

from raftline.camera.bars import Bars, bars_of

HEIGHT, WIDTH = 90, 160


def film(bars: Bars, seed: int = 0, black: int = 16) -> np.ndarray:
    rng = np.random.default_rng(seed)
    frame = rng.integers(black - 2, black + 3, (HEIGHT, WIDTH)).astype(np.uint8)
    width, height = bars.content_size(WIDTH, HEIGHT)
    frame[bars.top : bars.top + height, bars.left : bars.left + width] = rng.integers(30, 220, (height, width))
    return frame


@pytest.mark.parametrize("bars", [Bars(0, 12, 0, 12), Bars(20, 0, 20, 0), Bars(10, 6, 4, 8), Bars()])
@pytest.mark.parametrize("black", [2, 16])
def test_bars_are_found_on_each_side(bars: Bars, black: int) -> None:
    assert bars_of(film(bars, black=black)) == bars


def test_a_bar_of_uneven_width_is_taken_for_one_that_halves() -> None:
    assert bars_of(film(Bars(0, 13, 0, 0))) == Bars(0, 12, 0, 0)


@pytest.mark.parametrize("level", [0, 16, 30])
def test_a_dark_frame_tells_nothing_of_bars(level: int) -> None:
    assert bars_of(np.full((HEIGHT, WIDTH), level, np.uint8)) is None


def test_an_even_bright_border_and_a_dark_scene_are_no_bars() -> None:
    bright = film(Bars(0, 12, 0, 12))
    bright[:12], bright[-12:] = 128, 128
    assert bars_of(bright) == Bars()
    assert bars_of(np.random.default_rng(0).integers(4, 36, (HEIGHT, WIDTH)).astype(np.uint8)) == Bars()


def test_bars_are_what_all_frames_have() -> None:
    assert Bars(0, 12, 4, 10).narrowest(Bars(2, 8, 4, 12)) == Bars(0, 8, 4, 10)


def test_cells_between_the_bars_hold_nothing_of_them() -> None:
    allowed = Bars(0, 12, 10, 0).cells(12, 20, 8, (WIDTH, HEIGHT))
    assert not allowed[:2].any() and allowed[2:, :18].all() and not allowed[:, 18:].any()


def test_what_lies_between_the_bars_is_cut_and_put_back() -> None:
    bars, rng = Bars(4, 6, 2, 8), np.random.default_rng(1)
    planes = [rng.integers(0, 256, size).astype(np.uint8) for size in ((91, 161), (46, 81), (46, 81))]
    content = bars.cut(planes)
    assert [each.shape for each in content] == [(77, 155), (39, 78), (39, 78)]
    framed = bars.around([np.full_like(each, 7) for each in content], planes)
    for before, after, inner in zip(planes, framed, content, strict=True):
        assert (after == 7).sum() >= inner.size and (before[:3] == after[:3]).all()
    np.testing.assert_array_equal(bars.to_frame(bars.to_content(np.diag([2.0, 3.0, 1.0]))), np.diag([2.0, 3.0, 1.0]))
