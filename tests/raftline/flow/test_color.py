"""The color wheel."""

from __future__ import annotations

import numpy as np
import pytest

from raftline.flow.color import flow_color


def color_of(u: float, v: float, max_px: float = 1.0) -> list[int]:
    return flow_color(np.array([[[u, v]]], np.float32), max_px)[0, 0].tolist()


def test_still_is_white_and_unknown_is_black() -> None:
    assert color_of(0, 0) == [255, 255, 255]
    assert color_of(np.nan, 0) == [0, 0, 0]


def test_directions_have_the_wheels_colors() -> None:
    assert color_of(1, 0) == [255, 0, 0]
    down, left, up = color_of(0, 1), color_of(-1, 0), color_of(0, -1)
    assert down[0] > 200 and down[1] > 200 and down[2] < 20  # yellow
    assert left[1] > 100 and left[2] > 200 and left[0] < 20  # between cyan and blue
    assert up[0] > 80 and up[2] > 200 and up[1] < 20  # between blue and magenta


def test_slower_is_paler_and_too_fast_is_darker() -> None:
    assert color_of(0.5, 0) == [255, 127, 127]
    assert color_of(3, 0) == [191, 0, 0]


def test_without_a_maximum_the_fastest_pixel_has_full_color() -> None:
    flow = np.zeros((2, 2, 2), np.float32)
    flow[0, 1] = (7, 0)
    assert flow_color(flow)[0, 1].tolist() == [255, 0, 0]
    assert flow_color(flow * 0).min() == 255


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"flow_px: expected shape \(height, width, 2\), found"):
        flow_color(np.zeros(shape, np.float32))


def test_a_maximum_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="max_px: expected a speed above 0 px, found 0"):
        flow_color(np.zeros((1, 1, 2), np.float32), 0)
