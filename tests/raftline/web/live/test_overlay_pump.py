"""What is drawn over a frame leaves after the frame, whichever comes first."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from pipeline.transport.redis_server import PrivateServer
from raftline.web.live.feed import Feed
from raftline.web.live.overlay_pump import OverlayPump
from raftline.web.live.run_streams import RunStreams
from raftline.web.live.viewer import Item, Viewer
from tests.raftline.web.live.played_run import PlayedRun, mask, picture


class Silent(Feed):
    """Sends what a test tells it to."""

    async def run(self) -> None:
        await asyncio.Event().wait()

    def send(self, *indices: int) -> None:
        """Frames, of which each is a keyframe."""
        for index in indices:
            self.frame(bytes([index]), is_keyframe=True)
            self.timeline.know(index, 90_000 * index)
        self.when_sent()


def test_a_mask_waits_for_its_frame_and_one_whose_frame_was_left_out_never_comes(
    redis_server: PrivateServer, tmp_path: Path
) -> None:
    run = PlayedRun(redis_server, tmp_path / "run", ("gate",), "libx264")
    for index in range(5):
        run.add("gate", "motion", mask(picture("gate", index)))

    async def look() -> list[bytes | float]:
        active = run.active()
        assert active is not None
        feed, viewer, streams = Silent(), Viewer(), RunStreams(active)
        viewer.overlays = frozenset({"boxes"})
        feed.join(viewer)
        pump = OverlayPump(streams, "gate", feed)
        await pump.want()
        got: list[bytes | float] = []

        async def until(last: bytes | float) -> None:
            while last not in got:
                got.append(told(await viewer.next()))

        feed.begin("video/mp4", b"")
        feed.send(0)
        await until(0.0)
        feed.send(1, 3)
        await until(3.0)
        run.add("gate", "motion", mask(picture("gate", 5)))
        feed.send(5)
        await until(5.0)
        feed.leave(viewer)
        await pump.close()
        await feed.ended()
        await streams.close()
        return got[1:]  # without the beginning

    try:
        assert asyncio.run(asyncio.wait_for(look(), 60)) == [b"\0", 0.0, b"\1", b"\3", 1.0, 3.0, b"\5", 5.0]
    finally:
        run.redis.reset()
        run.end()


def told(item: Item | None) -> bytes | float:
    """A frame, or the time of what is drawn, in seconds."""
    assert item is not None
    return item.data if isinstance(item.data, bytes) else json.loads(item.data)["t"]
