from __future__ import annotations

import json

import numpy as np

from raftline.masks.small_regions import SmallRegions
from tests.raftline.masks.test_tracking import STEP, region, tracker_of


def counted(small: list, large: list, frames: int = 20) -> int:
    regions = SmallRegions(tracker_of())
    found = [regions.update(small, large, at * STEP, STEP, None) for at in range(frames)]
    again = SmallRegions(tracker_of())
    again.restore(json.loads(json.dumps(regions.state())))
    assert again.update(small, large, frames * STEP, STEP, None) == 0
    return sum(found)


def test_what_moves_for_long_enough_and_is_too_small_counts_once() -> None:
    assert counted([region(50, width=3, height=5)], []) == 1
    assert counted([region(50, width=3, height=5)], [], frames=2) == 0


def test_a_part_of_something_large_does_not_count() -> None:
    assert counted([region(92, width=3, height=5)], [region(50, width=40, height=30)]) == 0
    assert counted([region(150, width=3, height=5)], [region(50, width=40, height=30)]) == 1


def test_rain_does_not_count() -> None:
    spots = np.random.default_rng(0).permutation(40)
    assert counted([region(20 * int(x), y=10 * int(x % 7), width=3, height=5) for x in spots], []) == 0
