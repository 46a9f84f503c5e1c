from __future__ import annotations

import numpy as np
import pytest

from raftline.camera.zones import zone_mask


def test_zones_are_polygons_in_shares_of_the_frame() -> None:
    watch = [[(0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0)]]
    ignore = [[(0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0)]]
    allowed = zone_mask(watch, ignore, 100, 60)
    expected = np.zeros((60, 100), bool)
    expected[:30, 50:] = True
    # a polygon's outline belongs to it: half a cell to either side
    assert (allowed != expected).mean() < 0.03
    assert zone_mask([], [], 4, 3).all()


@pytest.mark.parametrize("zone", [[(0, 0), (1, 1)], [(0, 0), (1, 0), (1, 1.5)]])
def test_a_zone_that_is_none_is_refused(zone: list) -> None:
    with pytest.raises(ValueError, match="at least 3 corners"):
        zone_mask([zone], [], 10, 10)
