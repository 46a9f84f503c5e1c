from __future__ import annotations

import cv2
import numpy as np
import pytest

from benchmarks.motion_masks.scores import drawn_outside_px, shrunk


def disk(radius: int, size: int = 96) -> np.ndarray:
    y, x = np.mgrid[0:size, 0:size] - size // 2
    return np.hypot(x, y) <= radius


@pytest.mark.parametrize("outside_px", [0, 2, 5])
def test_how_far_outside_of_the_edges_a_truth_is_drawn_is_found_from_pictures(outside_px: int) -> None:
    rng = np.random.default_rng(0)
    images = []
    for radius in (20, 24, 28):
        gray = np.where(disk(radius), 150, 90) + rng.normal(0, 4, (96, 96))
        images.append((cv2.cvtColor(np.clip(gray, 0, 255).astype(np.uint8), cv2.COLOR_GRAY2RGB), radius))
    assert drawn_outside_px((image, disk(radius + outside_px)) for image, radius in images) == outside_px


def test_what_is_shrunk_keeps_all_that_is_farther_from_its_outline() -> None:
    found = shrunk(disk(30), 3)
    # 5x5 chamfer distances are off by up to 2 %, and a disk of whole px by half a one
    assert np.array_equal(found & ~disk(28), np.zeros_like(found)) and np.array_equal(disk(26) & ~found, ~found & found)
    assert not shrunk(disk(2), 3).any()
    np.testing.assert_array_equal(shrunk(disk(10), 0), disk(10))
