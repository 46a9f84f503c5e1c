"""Tests of light that moves over a scene."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from raftline.masks.light_patches import without_light
from raftline.masks.regions import regions_of
from tests.raftline.synthetic_motion import textured

SCENE = cv2.GaussianBlur(textured(120, 80, seed=3), (0, 0), 1.0).astype(np.float32)
PLACE, OTHER_PLACE = np.s_[20:50, 30:60], np.s_[10:40, 80:100]
SPOT = np.exp(-(((np.mgrid[0:80, 0:120] - np.array([[[35.0]], [[45.0]]])) / 15) ** 2).sum(axis=0))


def seen(image: np.ndarray, *places: tuple[slice, slice], noise: float = 2.0) -> list[tuple[int, ...]]:
    """Boxes of what is left of regions at some places."""
    mask = np.zeros(SCENE.shape, bool)
    for place in places:
        mask[place] = True
    luma = np.clip(image + np.random.default_rng(0).normal(0, noise, image.shape), 0, 255).astype(np.uint8)
    regions, labels, _ = regions_of(mask, 10, flows=True)
    kept, numbers = without_light(regions, labels, (luma, SCENE))
    assert sorted(set(numbers.ravel().tolist())) == list(range(len(kept) + 1))
    return [region.box for region in kept]


def with_thing(image: np.ndarray, place: tuple[slice, slice] = PLACE) -> np.ndarray:
    """The image with something of another texture at a place."""
    shown = image.copy()
    shown[place] = textured(120, 80, seed=8)[place]
    return shown


@pytest.mark.parametrize("gain", [0.5, 1.6])
@pytest.mark.parametrize("noise", [2.0, 8.0])
def test_light_and_shadow_are_left_out(gain: float, noise: float) -> None:
    assert seen(SCENE * (1 + (gain - 1) * SPOT), PLACE, noise=noise) == []


def test_a_thing_is_kept_in_the_light_and_out_of_it() -> None:
    assert seen(with_thing(SCENE), PLACE) == [(30, 20, 30, 30)]
    assert seen(with_thing(SCENE * 1.3), PLACE) == [(30, 20, 30, 30)]


def test_a_plain_thing_is_kept() -> None:
    plain = SCENE.copy()
    plain[PLACE] = 230
    assert seen(plain, PLACE) == [(30, 20, 30, 30)]


def test_a_thing_that_is_seen_through_is_kept() -> None:
    assert seen(0.6 * SCENE + 0.4 * with_thing(SCENE), PLACE) == [(30, 20, 30, 30)]


def test_regions_that_are_left_are_numbered_anew() -> None:
    shown = with_thing(SCENE * (1 + 0.7 * SPOT), OTHER_PLACE)
    assert seen(shown, PLACE, OTHER_PLACE) == [(80, 10, 20, 30)]


def test_under_a_camera_that_moves_nothing_is_left_out() -> None:
    regions, labels, _ = regions_of(np.ones((8, 8), bool), 1, flows=True)
    assert without_light(regions, labels, None) == (regions, labels)
