"""How many cameras each host should carry: equal shares, as far as capacities allow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Bearer:
    """A host that lives."""

    name: str
    carries: int
    """Cameras that it has."""
    capacity: int | None
    """Cameras that it can have; None: any number."""


def shares(cameras: int, bearers: Iterable[Bearer]) -> dict[str, int]:
    """Share cameras out so that no host has two more than one that has room.

    Those that carry most already get the odd ones: a share that is reached moves no camera.

    Args:
        cameras: How many there are.
        bearers: The hosts. Every host that is given the same gets the same answer.

    Returns:
        Cameras by host. They are fewer than `cameras` in all where the capacities are too small.
    """
    by_capacity = sorted(bearers, key=lambda each: (_capacity(each, cameras), each.name))
    shared: dict[str, int] = {}
    left = cameras
    for place, bearer in enumerate(by_capacity):
        fair = left // (len(by_capacity) - place)
        if _capacity(bearer, cameras) > fair:
            return shared | _level(left, by_capacity[place:])
        shared[bearer.name] = _capacity(bearer, cameras)
        left -= shared[bearer.name]
    return shared


def _level(cameras: int, bearers: list[Bearer]) -> dict[str, int]:
    """Equal shares: every one of these has room for one more than the mean."""
    fair, odd = divmod(cameras, len(bearers))
    richest = sorted(bearers, key=lambda each: (-each.carries, each.name))
    return {each.name: fair + (place < odd) for place, each in enumerate(richest)}


def _capacity(bearer: Bearer, cameras: int) -> int:
    return cameras if bearer.capacity is None else max(0, min(bearer.capacity, cameras))
