"""Frames that wait until what began to move in them has proved itself, and show it then from its first frame on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from raftline.camera.working_grid import WorkingGrid
from raftline.masks.detection import Detection, Unproven
from raftline.masks.tracking import Track

T = TypeVar("T")


class _Held(NamedTuple, Generic[T]):
    item: T
    found: Detection
    until_seconds: float
    first: bool


class WaitingFrames(Generic[T]):
    """Detections in order, each with something of the caller's. One leaves once nothing in it is left to prove."""

    def __init__(self) -> None:
        self._held: deque[_Held[T]] = deque()

    def __len__(self) -> int:
        return len(self._held)

    @property
    def oldest(self) -> T | None:
        """What the caller gave with the one that leaves next."""
        return self._held[0].item if self._held else None

    def push(self, item: T, found: Detection, until_seconds: float, first: bool = False) -> None:
        """One more; it waits no longer than for a frame of that time.

        The first of a shot waits for the next at least, which says what moves in it.
        """
        if self._held and self._held[-1].first:
            last = self._held.pop()
            self._held.append(last._replace(found=replace(last.found, unproven=found.before), first=False))
        self._held.append(_Held(item, found, until_seconds, first))

    def leaving(self, tracks: Sequence[Track], grid: WorkingGrid, seconds: float) -> Iterator[tuple[T, Detection]]:
        """Those that have waited long enough at a frame of that time, given the tracks that are followed there."""
        hopes = {track.id: track.confirmed for track in tracks}
        self._held = deque(held._replace(found=_judged(held.found, hopes, grid)) for held in self._held)
        while self._held and _may_leave(self._held[0], seconds):
            held = self._held.popleft()
            yield held.item, held.found

    def rest(self) -> Iterator[tuple[T, Detection]]:
        """All of them, as they are: no more comes."""
        while self._held:
            held = self._held.popleft()
            yield held.item, held.found


def _may_leave(held: _Held[Any], seconds: float) -> bool:
    return not held.first and (not held.found.unproven or seconds >= held.until_seconds)


def _judged(found: Detection, hopes: dict[int, bool], grid: WorkingGrid) -> Detection:
    """The detection with what has proved itself, and without what nobody follows any more; hopes: confirmed, by id."""
    if not found.unproven:
        return found
    proven = [each for each in found.unproven if hopes.get(each.moving.track.id)]
    left = tuple(each for each in found.unproven if hopes.get(each.moving.track.id) is False)
    return replace(_shown_as_well(found, proven, grid), unproven=left)


def _shown_as_well(found: Detection, proven: Sequence[Unproven], grid: WorkingGrid) -> Detection:
    if not proven:
        return found
    points = np.any([each.points for each in proven], axis=0)
    objects = sorted((*found.objects, *(each.moving for each in proven)), key=lambda moving: moving.track.id)
    return replace(found, mask=np.maximum(found.mask, grid.full_size(points)), objects=tuple(objects))
