"""A view of one source that all of its viewers share: it works only while somebody looks."""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any

from raftline.web.live.timeline import Timeline
from raftline.web.live.viewer import Item, Viewer

_MOST_STORED_BYTES = 8_000_000
"""Kept since the newest keyframe, for those who come. Beyond, they wait for the next one. Chosen by hand."""


_AGAIN_SECONDS = 0.1
_LAST_SECONDS = 3.0
"""Chosen by hand: closing connections takes milliseconds."""


async def end(task: asyncio.Task[None]) -> None:
    """Cancel a task until it has ended: redis-py can take a cancellation for a lost connection, and try again."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_AGAIN_SECONDS)
    if not task.cancelled():
        task.exception()  # whoever waited for the task has been told


_background: set[asyncio.Task[None]] = set()


def in_background(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Do what a request that is cancelled cannot wait for."""
    task = asyncio.create_task(work)
    _background.add(task)
    task.add_done_callback(_background.discard)
    return task


async def settled() -> None:
    """Wait for what is done in the background, when the server ends."""
    loop = asyncio.get_running_loop()
    if left := [task for task in _background if task.get_loop() is loop]:
        await asyncio.wait(left, timeout=_LAST_SECONDS)


def _nothing() -> None:
    """Nobody waits for frames."""


class Feed(ABC):
    """Sends messages to viewers. Use from one event loop."""

    def __init__(self) -> None:
        self.timeline = Timeline()
        self.viewers: set[Viewer] = set()
        self.when_sent: Callable[[], None] = _nothing
        """Called when frames have been sent, and the timeline knows them."""
        self._beginning: Item | None = None
        self._told = False
        """Whether the viewers have the beginning."""
        self._since_keyframe: list[Item] = []
        self._stored_bytes = 0
        self._task: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None

    def join(self, viewer: Viewer) -> None:
        """Add a viewer; the first one starts the work."""
        self.viewers.add(viewer)
        self.restart(viewer)
        if self._task is None:
            self._task = asyncio.create_task(self._work())

    def leave(self, viewer: Viewer) -> None:
        """Remove a viewer; the last one ends the work, see `ended`."""
        self.viewers.discard(viewer)
        task = self._task
        if not self.viewers and task is not None:
            self._task, self._beginning, self._since_keyframe = None, None, []
            self._ending = in_background(end(task))

    async def ended(self) -> None:
        """Wait for the work that the last viewer ended."""
        if self._ending is not None:
            await self._ending

    def restart(self, viewer: Viewer) -> None:
        """Let a viewer begin at the newest keyframe."""
        viewer.start([self._beginning, *self._since_keyframe] if self._beginning and self._since_keyframe else [])

    @abstractmethod
    async def run(self) -> None:
        """Send what comes, until it is cancelled or the run ends."""

    def begin(self, mime: str, boxes: bytes, **facts: Any) -> None:
        """Send the beginning of a video, its type and the boxes that describe it, with the next keyframe."""
        head = json.dumps({"type": "video", "mime": mime, **facts}).encode()
        self._beginning = Item(len(head).to_bytes(4, "big") + head + boxes, is_start=True)
        self._told, self._since_keyframe = False, []

    def frame(self, data: bytes, is_keyframe: bool) -> None:
        """Send a fragment; those before the first keyframe are left out."""
        item = Item(data, is_start=is_keyframe)
        if is_keyframe:
            self._since_keyframe, self._stored_bytes = [], 0
            if not self._told and self._beginning is not None:
                for viewer in self.viewers:
                    viewer.put(self._beginning)
            self._told = True
        elif not self._told:
            return
        self._store(item, is_keyframe)
        for viewer in self.viewers:
            viewer.put(item, self._beginning)

    def say(self, message: dict[str, Any], overlay: bool = False) -> None:
        """Send JSON."""
        item = Item(json.dumps(message, separators=(",", ":")), overlay=overlay)
        for viewer in self.viewers:
            viewer.put(item)

    def wanted(self) -> frozenset[str]:
        """Overlays that some viewer shows."""
        return frozenset().union(*(viewer.overlays for viewer in self.viewers))

    def _store(self, item: Item, is_keyframe: bool) -> None:
        if not is_keyframe and not self._since_keyframe:
            return  # too much came since
        self._since_keyframe.append(item)
        self._stored_bytes += len(item.data)
        if self._stored_bytes > _MOST_STORED_BYTES:
            self._since_keyframe = []

    async def _work(self) -> None:
        try:
            await self.run()
        finally:
            if asyncio.current_task() is self._task:  # it ended by itself: the run is over, or an error came
                self._task = None
            for viewer in self.viewers:
                viewer.close()
