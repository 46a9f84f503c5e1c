"""Sends what is drawn over the frames of a camera, as long as somebody has it drawn."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from pipeline.errors import StalePayloadError
from pipeline.messages import Flow, Mask, Message, Stabilized
from raftline.web.live.feed import Feed, end
from raftline.web.live.overlays import OF_FLOW, OF_MASKS, OF_STABILIZED, of_flow, of_mask, of_stabilized
from raftline.web.live.run_streams import RunStreams
from raftline.web.live.timeline import TICKS

_BEFORE = 64
"""Messages that were there already: whoever begins to look sees frames since the newest keyframe. As many as a stream
holds by default."""
_EARLY = 256
"""Overlays that wait until their frame has been sent itself. By hand: more than three streams hold by default."""


class OverlayPump:
    """Follows the streams of masks, of flow and of corrections of one source."""

    def __init__(self, run: RunStreams, source: str, feed: Feed) -> None:
        self._run, self._source, self._feed = run, source, feed
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._early: deque[dict[str, Any]] = deque(maxlen=_EARLY)
        feed.when_sent = self._send

    async def want(self) -> None:
        """See what the viewers have drawn, and follow that. Call it whenever that changes."""
        wanted = self._feed.wanted()
        kinds = {"masks": OF_MASKS, "flow": OF_FLOW, "stabilized": OF_STABILIZED}
        for name, of_it in kinds.items():
            is_wanted = bool(wanted & of_it)
            running = name in self._tasks and not self._tasks[name].done()
            if is_wanted and not running:
                self._tasks[name] = asyncio.create_task(self._follow(name))
            elif running and not is_wanted:
                await end(self._tasks[name])

    async def close(self) -> None:
        """Follow nothing any more."""
        for task in self._tasks.values():
            await end(task)

    async def _follow(self, name: str) -> None:
        async for message, is_old in self._messages(name):
            told = self._told(message)
            if told is not None:
                self._early.append(told | {"old": is_old})
                self._send()

    async def _messages(self, name: str) -> AsyncIterator[tuple[Message, bool]]:
        """Messages, and whether they were there already."""
        while (stage := getattr(await self._run.streams(self._source), name)) is None:
            await asyncio.sleep(1)
        is_old = True
        async for entries in self._run.tail.follow(self._source, stage, _BEFORE):
            for fields in entries:
                message = self._run.message(fields)
                if message is not None:
                    yield message, is_old
            is_old = False

    def _told(self, message: Message) -> dict[str, Any] | None:
        wanted = self._feed.wanted()
        try:
            if isinstance(message, Mask):
                return of_mask(message, wanted)
            if isinstance(message, Stabilized):
                return of_stabilized(message)
            return of_flow(message, wanted) if isinstance(message, Flow) else None
        except StalePayloadError:
            return of_mask(message, wanted - {"mask"}) if isinstance(message, Mask) else None

    def _send(self) -> None:
        """Send the overlays whose frames have been sent."""
        for _ in range(len(self._early)):
            told = self._early.popleft()
            index = told["index"]
            time = self._feed.timeline.time_of(index)
            if time is not None:
                self._feed.say(told | {"t": time / TICKS}, overlay=True)
            elif self._feed.timeline.may_come(index):
                self._early.append(told)
