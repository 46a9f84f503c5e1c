"""One browser: what waits to be sent to it, and what is left out when it is slow."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

_MOST_BYTES = 3_000_000
_MOST_ITEMS = 600
"""What may wait for a browser: beyond, it is sent on from the newest keyframe. By hand: some seconds of 1080p."""


@dataclass(frozen=True)
class Item:
    """One message to a browser."""

    data: str | bytes
    """Text is JSON."""
    is_start: bool = False
    """A browser can begin with it: the beginning, or the fragment of a keyframe."""
    overlay: bool = False
    """Drawn over the video: only for those who asked."""


class Viewer:
    """A bounded queue. It is filled by a feed and emptied by the connection, both in the event loop."""

    def __init__(self) -> None:
        self.overlays: frozenset[str] = frozenset()
        """Kinds that the browser shows."""
        self.left_out = 0
        """Messages that it was too slow for."""
        self.closed = False
        self._waiting: deque[Item] = deque()
        self._bytes = 0
        self._lost = self._paused = False
        self._more = asyncio.Event()

    def put(self, item: Item, beginning: Item | None = None) -> None:
        """Add a message; never waits.

        Args:
            item: The message.
            beginning: What must come before a keyframe for a browser that starts anew.
        """
        if self._paused or (item.overlay and (self._lost or not self.overlays)):
            return
        if self._lost:
            if not item.is_start:
                self.left_out += 1
                return
            self._lost = False
            if beginning is not None and item is not beginning:
                self._append(beginning)
        self._append(item)
        if self._bytes > _MOST_BYTES or len(self._waiting) > _MOST_ITEMS:
            self.left_out += len(self._waiting)
            self._clear()
            self._lost = True

    def start(self, items: Sequence[Item]) -> None:
        """Begin, or begin anew, with these; without any, with the next keyframe."""
        self._clear()
        self._lost, self._paused = not items, False
        for item in items:
            self._append(item)

    def pause(self) -> None:
        """Nothing more until `start`."""
        self._clear()
        self._paused = True

    def close(self) -> None:
        """End `next`."""
        self.closed = True
        self._more.set()

    async def next(self) -> Item | None:
        """Wait for a message; None at the end."""
        while not self._waiting:
            if self.closed:
                return None
            self._more.clear()
            await self._more.wait()
        item = self._waiting.popleft()
        self._bytes -= len(item.data)
        return item

    def _append(self, item: Item) -> None:
        self._waiting.append(item)
        self._bytes += len(item.data)
        self._more.set()

    def _clear(self) -> None:
        self._waiting.clear()
        self._bytes = 0
