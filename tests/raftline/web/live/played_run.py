"""A run that a test plays: real packets, a real Redis with masks and pictures in it, and no worker."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.codec import encode
from pipeline.messages import Flow, Frame, Header, Mask, Message, MotionObject, Stabilized
from pipeline.payload.inline import InlinePayload
from pipeline.runtime.run_folder import run_folder
from pipeline.runtime.run_status import ActiveRun
from pipeline.transport.redis_server import PrivateServer
from pipeline.transport.redis_streams import RedisStreams
from raftline.packet_ring import PacketRing, Stream
from raftline.web.watched_run import WatchedRun
from tests.stages.frames import numbered_luma
from tests.stages.recorder.packets import GOP, HEIGHT, WIDTH, encoded

FPS = 25
NUMBERS = 200
"""So many frames differ; then they begin anew."""
BOX = (32, 16, 40, 24)
"""x, y, width, height of what moves, in px."""
_names = itertools.count()
_UNITS = 90_000 // FPS


class PlayedRun(WatchedRun):
    """Plays sources at `FPS` from `start` on. The packets repeat after `NUMBERS` frames, at a keyframe."""

    def __init__(self, server: PrivateServer, directory: Path, sources: tuple[str, ...], encoder: str) -> None:
        name = f"played{next(_names)}"
        super().__init__(name, server.url)
        self.directory, self.sources = directory, sources
        self.redis = RedisStreams(server.url, name)
        self.sent = 0
        self.filler = b""
        """Follows each picture: a unit that decoders skip."""
        stages = ("decoder", "flow", "motion", "steady")
        plan = {"name": name, "stages": dict.fromkeys(stages), "sources": dict.fromkeys(sources)}
        directory.mkdir()
        (directory / "plan.json").write_text(json.dumps(plan))
        self._active = ActiveRun(name, server.url, directory, None, directory)
        self._packets = encoded(encoder)
        self._codec = "hevc" if encoder == "libx265" else "h264"
        self._rings = {
            source: PacketRing(run_folder(directory, "packets", source, 1), 30, 1 << 24) for source in sources
        }
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._play, daemon=True)

    def active(self) -> ActiveRun | None:
        return self._active if self.directory.exists() else None

    def start(self) -> None:
        """Play on."""
        for ring in self._rings.values():
            ring.begin(Stream(self._codec, b"", WIDTH, HEIGHT, Fraction(1, 90_000), time.time_ns()))
        self._thread.start()

    def stop(self) -> None:
        """Stand still."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _play(self) -> None:
        begin = time.monotonic()
        while not self._stop.wait(max(0.0, begin + self.sent / FPS - time.monotonic())):
            for source in self.sources:
                self._send(source, self.sent)
            self.sent += 1

    def _send(self, source: str, index: int) -> None:
        _, _, is_keyframe, data = self._packets[index % len(self._packets)]
        pts, ring = 5_000_000 + index * _UNITS, self._rings[source]
        ring.packet(pts, pts, time.time_ns(), is_keyframe, data + self.filler)
        ring.shown(pts, index, index * _UNITS, Fraction(1, 90_000))
        frame = picture(source, index)
        self.add(source, "decoder", frame)
        self.add(source, "motion", mask(frame))
        self.add(source, "flow", flow(frame))
        self.add(source, "steady", Stabilized(frame.header, frame, (1, 0, 0, 0, 1, 0, 0, 0, 1)))

    def add(self, source: str, stage: str, message: Message) -> None:
        """Write a message of a stage."""
        fields: Any = encode(message, InlinePayload()).fields
        self.redis.client.xadd(self.redis.keys.stream(source, stage), fields, maxlen=64)

    def end(self) -> None:
        """Remove the run's directory, as its end does."""
        self.stop()
        for ring in self._rings.values():
            ring.close()
        for path in sorted(self.directory.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        self.directory.rmdir()


@contextmanager
def played(server: PrivateServer, directory: Path, *sources: str, encoder: str = "libx264") -> Iterator[PlayedRun]:
    """A run that plays."""
    run = PlayedRun(server, directory, sources or ("gate",), encoder)
    with contextlib.closing(run.redis), contextlib.closing(run):
        run.start()
        try:
            yield run
        finally:
            run.stop()
            run.redis.reset()


def picture(source: str, index: int) -> Frame:
    """The frame that the packet of this index shows: its number, modulo `NUMBERS`, in the luma."""
    header = Header(source, index * _UNITS, Fraction(1, 90_000), time.time_ns(), 1, index + 1)
    gray = np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint8)
    planes = (numbered_luma(index % NUMBERS, HEIGHT, WIDTH), gray, gray)
    return Frame(header, index, WIDTH, HEIGHT, "yuv420p", planes, "bt709", "tv")


def mask(frame: Frame) -> Mask:
    """Something moves in `BOX`."""
    x, y, width, height = BOX
    moving = np.zeros((HEIGHT, WIDTH), np.uint8)
    moving[y : y + height, x : x + width] = 255
    found = MotionObject(frame.index, BOX, width * height, (10.0, 0.0))
    return Mask(frame.header, replace(frame, planes=()), moving, (found,), camera=(1, 0, 2, 0, 1, 0, 0, 0, 1))


def flow(frame: Frame) -> Flow:
    """3 px to the right everywhere."""
    grid = np.zeros((HEIGHT // 8, WIDTH // 8, 2), np.float32)
    grid[..., 0] = 3
    return Flow(frame.header, replace(frame, planes=()), "warm", grid)


__all__ = ["BOX", "FPS", "GOP", "NUMBERS", "PlayedRun", "flow", "mask", "picture", "played"]
