"""Cuts that are none: fine texture that shakes, flashes, single stray frames. A cut is a change that stays."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.cases.views import grass, judgements, shaken
from tests.raftline.raft.recipes import texture, waves


@pytest.mark.parametrize("seed", range(4))
def test_fine_texture_that_shakes_is_no_cut_and_another_one_is(seed: int) -> None:
    frames = [*shaken(grass(seed), seed), *shaken(grass(seed + 50), seed)]
    assert judgements(frames) == ["first", *["continuous"] * 7, "scene_cut", *["continuous"] * 7]


@pytest.mark.parametrize(("gain", "offset"), [(2.2, 0), (3.5, 0), (0.3, 0), (1.6, 40), (0.0, 0), (0.0, 255)])
def test_a_flash_ends_no_scene(gain: float, offset: float) -> None:
    frames = shaken(np.asarray(cv2.GaussianBlur(texture(240, 400), (0, 0), 3), np.uint8), 1)
    frames[4] = np.clip(frames[4] * gain + offset, 0, 255).astype(np.uint8)
    found = judgements(frames)
    assert found.count("scene_cut") == found.count("resumed") <= 1
    assert "scene_cut" not in found or found.index("resumed") == found.index("scene_cut") + 1


def test_a_stray_frame_is_withdrawn_and_two_are_a_scene() -> None:
    scene, other = waves(96, 128), texture(96, 128)
    assert judgements([scene, other, waves(96, 128, 1)]) == ["first", "scene_cut", "resumed"]
    changed = [other, np.roll(other, 1, axis=1)]
    assert judgements([scene, *changed, scene]) == ["first", "scene_cut", "continuous", "scene_cut"]
