"""Colors inside of a region against those around it."""

import numpy as np

from raftline.masks.color_models import AROUND, INSIDE, color_log_ratio


def image(inside: tuple[int, int, int], around: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """40x40 points, a square of 20 of one color within another, with noise, and of which kind each is."""
    rng = np.random.default_rng(0)
    kind = np.full((40, 40), AROUND, np.uint8)
    kind[10:30, 10:30] = INSIDE
    colors = np.where(kind[..., None] == INSIDE, np.array(inside), np.array(around))
    return np.clip(colors + rng.normal(0, 2, colors.shape), 0, 255).astype(np.uint8), kind


def test_a_color_of_the_inside_speaks_for_it_and_one_of_the_surroundings_against_it() -> None:
    shown, kind = image((90, 110, 150), (160, 128, 128))
    ratio = color_log_ratio(shown, kind)
    assert ratio[kind == INSIDE].min() > 2
    assert ratio[kind == AROUND].max() < -2


def test_chroma_alone_tells() -> None:
    shown, kind = image((120, 90, 128), (120, 160, 128))
    ratio = color_log_ratio(shown, kind)
    assert ratio[kind == INSIDE].min() > 2 > -2 > ratio[kind == AROUND].max()


def test_one_color_in_both_tells_nothing() -> None:
    shown, kind = image((120, 128, 128), (120, 128, 128))
    assert np.abs(color_log_ratio(shown, kind)).mean() < 0.3


def test_a_color_that_is_in_neither_tells_nothing() -> None:
    shown, kind = image((90, 128, 128), (160, 128, 128))
    shown[0, 0], kind[0, 0] = (20, 200, 40), 0
    assert color_log_ratio(shown, kind)[0, 0] == 0
