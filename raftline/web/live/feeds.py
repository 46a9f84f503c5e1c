"""The feeds of a server: one for each view that somebody looks at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from pipeline.runtime.run_status import ActiveRun
from raftline.web.live.camera_feed import CameraFeed
from raftline.web.live.feed import Feed, in_background
from raftline.web.live.overlay_pump import OverlayPump
from raftline.web.live.picture_feeds import ComparedFeed, EncodedFeed, JpegFeed
from raftline.web.live.run_streams import RunStreams, Streams
from raftline.web.live.viewer import Viewer

CAMERA, FRAMES = "camera", "frames"
"""Views that are not called after a stage: the camera's own packets, and the decoder's frames, encoded."""
COMPARE = "compare:"
"""Before the name of a stage that stabilizes: its pictures below those before."""


class NothingToSee(Exception):
    """There is no such view now; says why."""


class Watched(Protocol):
    """Knows the run."""

    def active(self) -> ActiveRun | None:
        """The run, if it goes on."""


@dataclass
class _Shared:
    """What those who look at one view share."""

    run: RunStreams
    feed: Feed
    pump: OverlayPump

    async def close(self) -> None:
        """Nobody looks any more."""
        await self.pump.close()
        await self.feed.ended()
        await self.run.close()


class LiveFeeds:
    """Makes feeds when the first viewer comes, and ends them with the last."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._shared: dict[tuple[str, ...], _Shared] = {}

    async def views(self, source: str) -> Streams:
        """What there is to see of a source. Raises `NothingToSee` or `TransportError`."""
        run = await self._run(source)
        try:
            return await run.streams(source)
        finally:
            await run.close()

    @asynccontextmanager
    async def watch(self, source: str, view: str, jpeg_fps: float | None = None) -> AsyncIterator[_Shared]:
        """A feed, for as long as one looks.

        Args:
            source: Its name.
            view: `CAMERA`, `FRAMES`, or the name of a stage that writes pictures.
            jpeg_fps: JPEGs, at most so many per second, in place of video.

        Raises:
            NothingToSee: There is no such view now.
            TransportError: Redis does not answer.
        """
        key = (source, view, str(jpeg_fps))
        if key not in self._shared or not self._shared[key].run.directory.exists():
            made = await self._make(source, view, jpeg_fps)
            if key in self._shared and self._shared[key].run.directory.exists():  # another came first
                await made.run.close()
            else:
                self._shared[key] = made
        shared = self._shared[key]
        try:
            yield shared
        finally:
            if not shared.feed.viewers:
                if self._shared.get(key) is shared:
                    del self._shared[key]
                in_background(shared.close())

    async def _run(self, source: str) -> RunStreams:
        active = await asyncio.to_thread(self._watched.active)
        if active is None:
            raise NothingToSee("no run goes on")
        try:
            run = RunStreams(active)
        except (OSError, ValueError, KeyError):
            raise NothingToSee("the run has just ended") from None
        if source not in run.sources:
            await run.close()
            raise NothingToSee("there is no such camera")
        return run

    async def _make(self, source: str, view: str, jpeg_fps: float | None) -> _Shared:
        run = await self._run(source)
        try:
            feed = await self._feed(run, source, view, jpeg_fps)
        except BaseException:
            await run.close()
            raise
        return _Shared(run, feed, OverlayPump(run, source, feed))

    async def _feed(self, run: RunStreams, source: str, view: str, jpeg_fps: float | None) -> Feed:
        if view == CAMERA and jpeg_fps is None:
            if not run.packets(source).exists():
                raise NothingToSee("no packets of this source are kept")
            return CameraFeed(run.packets(source))
        streams = await run.streams(source)
        pictures = streams.pictures
        if view == f"{COMPARE}{streams.stabilized}" and streams.stabilized is not None and jpeg_fps is None:
            return ComparedFeed(run, source, streams.stabilized, pictures[0])
        stage = pictures[0] if view in (CAMERA, FRAMES) and pictures else view
        if stage not in pictures:
            raise NothingToSee("no such picture yet")
        return EncodedFeed(run, source, stage) if jpeg_fps is None else JpegFeed(run, source, stage, jpeg_fps)


@asynccontextmanager
async def viewing(shared: _Shared) -> AsyncIterator[Viewer]:
    """A viewer of a feed, for as long as one looks."""
    viewer = Viewer()
    shared.feed.join(viewer)
    try:
        yield viewer
    finally:
        shared.feed.leave(viewer)
