"""The view of a camera as it sent it: its packets from the ring, in fragments, never encoded anew."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from pathlib import Path

from raftline.packet_ring import ContainerTimes, Packet, Record, RingReader, Shown, Stream
from raftline.web.live.feed import Feed
from raftline.web.live.fragments import TICKS, NotPlayable, beginning, fragment, with_lengths

_POLL_SECONDS = 0.015
"""Between looks at the ring. Chosen by hand: adds 8 ms to the latency."""
_NOT_BEFORE = 0.95
"""Part of the shortest of the last steps between packets in which none is looked for. Chosen by hand."""
_STEPS = 8
_LONGEST_PAUSE_SECONDS = 0.1
_LOOK_SECONDS = 1.0
"""Between looks whether the run goes on."""
_KNOWN_PACKETS = 300
"""Packets whose frame may still come out of the decoder. Chosen by hand."""


class CameraFeed(Feed):
    """Follows a ring."""

    def __init__(self, folder: Path) -> None:
        """
        Args:
            folder: of the ring, in the run's directory. The feed ends when that directory goes.
        """
        super().__init__()
        self._folder = folder
        self._stream: Stream | None = None
        self._playable = False
        self._number = 0
        self._came_at = 0.0
        self._steps: deque[float] = deque([0.0], _STEPS)
        self._placed: OrderedDict[int | None, int] = OrderedDict()

    async def run(self) -> None:
        reader = RingReader(self._folder)
        reader.seek(time.time_ns())
        look_at = time.monotonic() + _LOOK_SECONDS
        try:
            self._take(_from_newest_keyframe(_all(reader)))
            while True:
                records = reader.read()
                self._take(records)
                if time.monotonic() > look_at:
                    look_at += _LOOK_SECONDS
                    if not self._folder.parent.parent.exists():
                        return
                await asyncio.sleep(self._pause_seconds(any(isinstance(record, Packet) for record in records)))
        finally:
            reader.close()
            self._stream = None

    def _pause_seconds(self, came: bool) -> float:
        """How long not to look, after a look."""
        if not came:
            return _POLL_SECONDS
        now = time.monotonic()
        self._steps.append(now - self._came_at)
        self._came_at = now
        return max(_POLL_SECONDS, min(_LONGEST_PAUSE_SECONDS, _NOT_BEFORE * min(self._steps)))

    def _take(self, records: list[Record]) -> None:
        for record in records:
            if isinstance(record, Packet):
                self._send(record)
            elif isinstance(record, Shown) and record.packet_pts in self._placed:
                self.timeline.know(record.index, self._placed[record.packet_pts])
        if records:
            self.when_sent()

    def _send(self, packet: Packet) -> None:
        stream = packet.stream
        if stream != self._stream:
            if not packet.is_keyframe:
                return
            self._stream = stream
            self._times = ContainerTimes(stream.time_base)
            self.timeline.cut()
            self._placed.clear()
            self._playable = self._begin(packet)
        if not self._playable:
            return
        pts, dts = self._times.place(packet)
        placed, duration = self.timeline.place(dts * stream.time_base)
        shown = placed + round((pts - dts) * stream.time_base * TICKS)
        self._placed[packet.pts] = shown
        while len(self._placed) > _KNOWN_PACKETS:
            self._placed.popitem(last=False)
        self._number += 1
        data = with_lengths(stream.codec, packet.data)
        self.frame(fragment(self._number, placed, shown, duration, packet.is_keyframe, data), packet.is_keyframe)

    def _begin(self, keyframe: Packet) -> bool:
        stream = keyframe.stream
        try:
            mime, boxes = beginning(stream, keyframe.data)
        except NotPlayable as error:
            self.say({"type": "unplayable", "why": str(error)})
            return False
        self.begin(mime, boxes, width=stream.width, height=stream.height, codec=stream.codec)
        return True


def _all(reader: RingReader) -> list[Record]:
    found: list[Record] = []
    while new := reader.read():
        found += new
    return found


def _from_newest_keyframe(records: list[Record]) -> list[Record]:
    for at in range(len(records) - 1, -1, -1):
        record = records[at]
        if isinstance(record, Packet) and record.is_keyframe:
            return records[at:]
    return []
