"""A viewer that is no browser."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.raftline.web.client import Page


@dataclass
class Watched:
    """What a viewer got."""

    socket: ClientConnection
    heads: list[dict[str, Any]] = field(default_factory=list)
    boxes: bytes = b""
    """The newest beginning, and the fragments since."""
    times: list[float] = field(default_factory=list)
    """Decoding time of each fragment, s."""
    told: list[dict[str, Any]] = field(default_factory=list)

    def ask(self, **message: Any) -> None:
        """Say something to the server."""
        self.socket.send(json.dumps(message))

    def read(self, seconds: float = 0.0, frames: int = 0) -> None:
        """Take what comes for a time, or until so many more frames are there."""
        wanted, deadline = len(self.times) + frames, time.monotonic() + (seconds or 60)
        while time.monotonic() < deadline and (seconds or len(self.times) < wanted):
            try:
                self._take(self.socket.recv(timeout=0.05))
            except TimeoutError:
                continue

    def is_quiet(self) -> bool:
        """Whether no frame comes for a second."""
        had = len(self.times)
        self.read(seconds=1.0)
        return len(self.times) == had

    def read_until(self, true: Callable[[], bool]) -> None:
        """Take what comes until something is so."""
        deadline = time.monotonic() + 60
        while not true():
            assert time.monotonic() < deadline
            self.read(seconds=0.1)

    def _take(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self.told.append(json.loads(message))
        elif message[4:8] == b"moof":
            self.times.append(struct.unpack_from(">Q", message, 60)[0] / 90_000)
            self.boxes += message
        else:
            length = int.from_bytes(message[:4], "big")
            self.heads.append(json.loads(message[4 : 4 + length]))
            self.boxes = message[4 + length :]


@contextmanager
def watching(page: Page, source: str, view: str = "camera", **options: Any) -> Iterator[Watched]:
    """A viewer of a source."""
    url = f"ws://{page.host}/api/live/{source}/video?view={view}"
    with connect(url, max_size=None, compression=None, **options) as socket:
        yield Watched(socket)
