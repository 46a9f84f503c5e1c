"""Backdating: frames wait until the objects that begin to move in them are confirmed, and then show them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from raftline.camera.working_grid import WorkingGrid
from raftline.masks.detection import Detection
from raftline.masks.tracking import Track
from raftline.state_trees import from_tree, tree_of

T = TypeVar("T")


class _Held(NamedTuple, Generic[T]):
    item: T
    found: Detection
    until_seconds: float
    first: bool


class BackdatingQueue(Generic[T]):
    """Detections in order, each with an item of the caller's. One leaves once none of its objects is tentative."""

    def __init__(self) -> None:
        self._held: deque[_Held[T]] = deque()

    def __len__(self) -> int:
        return len(self._held)

    @property
    def oldest(self) -> T | None:
        """The item of the detection that leaves next."""
        return self._held[0].item if self._held else None

    def push(self, item: T, found: Detection, until_seconds: float, first: bool = False) -> None:
        """Add a detection.

        Args:
            item: Returned with it.
            found: The detection.
            until_seconds: It leaves at a frame of this time at the latest.
            first: The first frame of a run. It waits for the next one at least, whose flow shows what moves in it.
        """
        if self._held and self._held[-1].first:
            last = self._held.pop()
            backdated = replace(last.found, tentative=found.tentative_before)
            self._held.append(last._replace(found=backdated, first=False))
        self._held.append(_Held(item, found, until_seconds, first))

    def leaving(self, tracks: Sequence[Track], grid: WorkingGrid, seconds: float) -> Iterator[tuple[T, Detection]]:
        """The detections that need not wait any longer.

        Args:
            tracks: Those followed at the current frame.
            grid: Of the detections' points.
            seconds: The current frame's time.
        """
        confirmed = {track.id: track.confirmed for track in tracks}
        self._held = deque(held._replace(found=_resolved(held.found, confirmed, grid)) for held in self._held)
        while self._held and _may_leave(self._held[0], seconds):
            held = self._held.popleft()
            yield held.item, held.found

    def full_state(self) -> list[Any]:
        """All that waits, as JSON values and arrays."""
        return [tree_of(list(held)) for held in self._held]

    def restore_full(self, state: Sequence[Any], kind: Any) -> None:
        """Go on exactly where `full_state` was taken. kind: type of the items."""
        for item, found, until_seconds, first in state:
            item, found = from_tree(kind, item), from_tree(Detection, found)
            self._held.append(_Held(item, found, until_seconds, first))

    def rest(self) -> Iterator[tuple[T, Detection]]:
        """All of them as they are: no more frames come."""
        while self._held:
            held = self._held.popleft()
            yield held.item, held.found


def _may_leave(held: _Held[Any], seconds: float) -> bool:
    return not held.first and (not held.found.tentative or seconds >= held.until_seconds)


def _resolved(found: Detection, confirmed: dict[int, bool], grid: WorkingGrid) -> Detection:
    """The detection with those now confirmed (by track id), and without those no longer followed."""
    shown = [each for each in found.tentative if confirmed.get(each.moving.id)]
    still_tentative = tuple(each for each in found.tentative if confirmed.get(each.moving.id) is False)
    if shown:
        points = np.any([each.points for each in shown], axis=0)
        objects = sorted((*found.objects, *(each.moving for each in shown)), key=lambda moving: moving.id)
        found = replace(found, mask=np.maximum(found.mask, grid.full_size(points)), objects=tuple(objects))
    return replace(found, tentative=still_tentative)
