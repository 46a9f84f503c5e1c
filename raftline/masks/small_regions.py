"""Counts what moves and would be an object, were it not smaller than `min_area`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from raftline.masks.regions import Region
from raftline.masks.tracking import RegionTracker

SMALL_SHARE = 0.3
"""Of `min_area`: what is smaller than this may be noise. Chosen by hand."""
_MOST_REGIONS = 20
"""More of them in a frame are rain or noise, and following them would take longer than all the rest. Chosen by hand."""


class SmallRegions:
    """Follows the regions that are too small, and counts each once it moved for as long as an object has to."""

    def __init__(self, tracker: RegionTracker) -> None:
        """Begin with none. tracker: of their own, as that of the objects."""
        self._tracker = tracker

    def update(
        self,
        small: Sequence[Region],
        large: Sequence[Region],
        seconds: float,
        step_seconds: float,
        camera: np.ndarray | None,
    ) -> int:
        """Take the next frame.

        Args:
            small: Its regions that are too small.
            large: The others. What lies beside them is a part of them.
            seconds: Its time.
            step_seconds: Time since the frame before.
            camera: As for `RegionTracker.update`.

        Returns:
            How many have now proved to move.
        """
        apart = [region for region in small if not any(_within(region, other) for other in large)]
        before = {track.id for track in self._tracker.tracks if track.confirmed}
        followed = apart if len(apart) <= _MOST_REGIONS else []
        tracks = self._tracker.update(followed, seconds, step_seconds, camera)
        return sum(track.confirmed and track.id not in before for track in tracks)

    def forget(self) -> None:
        """The next frame does not follow from the last one."""
        self._tracker.tracks = []

    def state(self) -> dict[str, Any]:
        """JSON values."""
        return self._tracker.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self._tracker.restore(state)


def _within(region: Region, other: Region) -> bool:
    """Whether a region touches the box of another, or lies so near that it may have split from it."""
    pairs = zip(region.box[:2], region.box[2:], other.box[:2], other.box[2:], strict=True)
    margin = max(region.box[2:])
    return all(there - margin <= at + size and at <= there + length + margin for at, size, there, length in pairs)
