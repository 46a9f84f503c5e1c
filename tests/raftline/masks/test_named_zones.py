"""Which zones an object is in."""

from __future__ import annotations

import pytest

from raftline.masks.named_zones import NamedZone, polygons, zones_of
from raftline.masks.velocity_filter import VelocityFilter

LEFT = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
BOTTOM = ((0.0, 0.6), (1.0, 0.6), (1.0, 1.0), (0.0, 1.0))


def test_an_object_is_where_its_middle_is_or_where_it_stands() -> None:
    zones = {"left": NamedZone(LEFT), "bottom": NamedZone(BOTTOM, "watch"), "tree": NamedZone(LEFT, "ignore")}
    assert zones_of(zones, (0, 0, 20, 20), (1.0, 0.0), 200, 100) == ("left",)
    assert zones_of(zones, (0, 0, 20, 80), (1.0, 0.0), 200, 100) == ("left", "bottom")  # it stands there
    assert zones_of(zones, (150, 0, 20, 20), (1.0, 0.0), 200, 100) == ()
    assert polygons(zones, "ignore") == [LEFT] and polygons(zones, "watch") == [BOTTOM]


def test_an_object_is_in_a_zone_only_while_it_moves_as_the_zone_says() -> None:
    down = {"way out": NamedZone(LEFT, velocities=VelocityFilter(5.0, direction_degrees=90.0))}
    assert zones_of(down, (0, 0, 20, 20), (0.0, 9.0), 200, 100) == ("way out",)
    assert zones_of(down, (0, 0, 20, 20), (0.0, 4.0), 200, 100) == ()
    assert zones_of(down, (0, 0, 20, 20), (9.0, 0.0), 200, 100) == ()


def test_a_zone_that_is_no_polygon_within_the_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 3 corners"):
        NamedZone(((0.0, 0.0), (1.0, 1.0)))
    with pytest.raises(ValueError, match="from 0 to 1"):
        NamedZone(((0.0, 0.0), (1.5, 0.0), (1.0, 1.0)))
