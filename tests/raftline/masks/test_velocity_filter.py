from __future__ import annotations

import pytest

from raftline.masks.velocity_filter import VelocityFilter


@pytest.mark.parametrize(
    ("velocity", "counts"), [((30, 0), False), ((60, 0), True), ((0, -60), True), ((200, 0), False)]
)
def test_objects_that_are_too_slow_or_too_fast_do_not_count(velocity: tuple[float, float], counts: bool) -> None:
    assert VelocityFilter(slowest_px_s=50, fastest_px_s=100).accepts(velocity) == counts


@pytest.mark.parametrize(
    ("direction", "velocity", "counts"),
    [(0, (10, 1), True), (0, (-10, 0), False), (350, (10, 1), True), (90, (0, 10), True), (90, (0, -10), False)],
)
def test_objects_count_by_where_they_go(direction: float, velocity: tuple[float, float], counts: bool) -> None:
    assert VelocityFilter(direction_degrees=direction, within_degrees=30).accepts(velocity) == counts
