"""What the runs of a storm depend on, and what befalls it: Redis servers, cameras, a small disk."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from pipeline.transport.redis_server import find_program

WIDTH, HEIGHT, FPS = 320, 180, 10
LOOP_SECONDS, BEGINS_SECONDS, MOVES_SECONDS = 12, 4, 3
"""Of what cameras show: something moves once in each of these."""
_SMALL_DISK_BYTES = 1_500_000
_START_SECONDS = 20.0


class RedisServer:
    """A server of one's own on a port of loopback; with `persistent` it keeps what it has on disk."""

    def __init__(self, folder: Path, persistent: bool) -> None:
        folder.mkdir(parents=True)
        self.persistent = persistent
        self._folder, self._port = folder, free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Return once it accepts connections."""
        keeps = ["--appendonly", "yes", "--appendfsync", "everysec"] if self.persistent else ["--appendonly", "no"]
        command = [str(find_program().path), "--port", str(self._port), "--bind", "127.0.0.1", "--save", "", *keeps]
        self._process = subprocess.Popen(
            [*command, "--dir", str(self._folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
                return
            time.sleep(0.05)
        raise RuntimeError("the Redis server did not start")

    def kill(self) -> None:
        """End it as a power cut would, as far as it can tell."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self, seconds: float) -> None:
        """It keeps its connections and says nothing."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)
            time.sleep(seconds)
            self._process.send_signal(signal.SIGCONT)


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def write_clip(path: Path, seconds: float = LOOP_SECONDS, fps: int = FPS) -> None:
    """Textured ground, over which a square moves for a while, as H.264."""
    rng = np.random.default_rng(0)
    ground = cv2.GaussianBlur(rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8), (0, 0), 2)
    square = cv2.GaussianBlur(rng.integers(0, 255, (40, 40, 3), np.uint8), (0, 0), 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "veryfast", "g": str(fps), "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"  # type: ignore[attr-defined]
        stream.time_base = Fraction(1, fps)
        for index in range(round(seconds * fps)):
            image = ground.copy()
            moved = min(max(index / fps % LOOP_SECONDS - BEGINS_SECONDS, 0.0), MOVES_SECONDS) / MOVES_SECONDS
            if 0 < moved < 1:
                left = round(20 + 240 * moved)
                image[70:110, left : left + 40] = square
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = index
            container.mux(stream.encode(frame))  # type: ignore[attr-defined]
        container.mux(stream.encode(None))  # type: ignore[attr-defined]


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """A file system of 1.5 MB at a folder; None where it may not be mounted."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={_SMALL_DISK_BYTES},mode=700", "tmpfs", str(folder)]
    if os.getuid() or shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)
