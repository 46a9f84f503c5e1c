"""The last frames of a clip, kept so that they are decoded once; of a short clip, all."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace

import numpy as np

from pipeline.messages import Array, Frame, Gap, LazyArray
from stages.stabilization.free_memory import half_is_free

_LEAST_BYTES = 128_000_000
"""Kept whatever the machine has: as much as all streams of a run take in shared memory by default, 370 frames of
640x360. Chosen by hand."""
_MOST_BYTES = 1_000_000_000
"""Kept where there is room: 320 frames of 1920x1080, of which each is decoded in 9 ms. Chosen by hand."""
_MORE_BYTES = 32_000_000
"""Between two looks at what the machine has left. Chosen by hand."""


class KeptFrames:
    """Frames of a clip up to its last one, in this process' memory; the oldest are let go once they are too many."""

    def __init__(
        self,
        most_bytes: int = _MOST_BYTES,
        least_bytes: int = _LEAST_BYTES,
        has_room: Callable[[], bool] = half_is_free,
    ) -> None:
        """Begin with no frame, and keep up to `most_bytes` of pixels, above `least_bytes` while `has_room`."""
        self._frames: deque[Frame] = deque()
        self._all_kept = True
        self._held_bytes, self._room_bytes, self._most_bytes = 0, min(least_bytes, most_bytes), most_bytes
        self._has_room = has_room

    def add(self, frame: Frame) -> None:
        """Keep a frame, whose pixels may be overwritten later."""
        kept = replace(frame, planes=tuple(_own(plane) for plane in frame.planes))
        self._frames.append(kept)
        self._held_bytes += _bytes(kept)
        if self._held_bytes > self._room_bytes < self._most_bytes and self._has_room():
            self._room_bytes = min(self._most_bytes, max(self._held_bytes, self._room_bytes + _MORE_BYTES))
        while self._held_bytes > self._room_bytes:
            self._held_bytes -= _bytes(self._frames.popleft())
            self._all_kept = False

    def miss(self) -> None:
        """Frames came that were not added; those that are added from now on go up to the last one again."""
        self._all_kept = False
        self._frames.clear()
        self._held_bytes = 0

    def once_more(self, read_again: Callable[[], Iterator[Frame | Gap]]) -> Generator[Frame, None, None]:
        """Yield all frames of the clip, and let go of those that are kept; `read_again` begins with the first one."""
        all_kept, self._all_kept = self._all_kept, False
        if not all_kept:
            yield from self._not_kept(read_again())
        while self._frames:
            yield self._frames.popleft()
        self._held_bytes = 0

    def _not_kept(self, items: Iterator[Frame | Gap]) -> Iterator[Frame]:
        try:
            for item in items:
                if isinstance(item, Gap):
                    continue
                if self._frames and item.index >= self._frames[0].index:
                    break
                yield item
        finally:
            getattr(items, "close", lambda: None)()


def _own(plane: Array) -> np.ndarray:
    """Return what nobody else writes; a `LazyArray` has a copy of its own, made at its first use."""
    return np.asarray(plane) if isinstance(plane, LazyArray) else plane.copy()


def _bytes(frame: Frame) -> int:
    return sum(np.asarray(plane).nbytes for plane in frame.planes)
