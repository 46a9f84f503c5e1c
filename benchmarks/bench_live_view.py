"""Measure what those who look at the page cost, and how late they see: CPU of its server for 0, 1 and 10 viewers of one
camera, and the time from a packet's arrival to its picture on the screen of Chromium.

    python -m benchmarks.bench_live_view [--seconds 20] [--repeats 3]

A camera is played: 1280x720, 15 frames/s, H.264 at about 4 Mbit/s, with masks and boxes beside it. Camera, server and
viewers are processes of their own; only the server's CPU time counts, in turn for each number of viewers. The latency
is that from the frame's arrival to the time at which Chromium expects to show it (``expectedDisplayTime``).
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from websockets.sync.client import connect

from benchmarks.machine import machine
from pipeline.codec import encode
from pipeline.messages import Frame, Header, Mask, MotionObject
from pipeline.payload.ring_space import RingBudget
from pipeline.payload.shared_memory import SharedMemoryPayload
from pipeline.runtime.run_folder import run_folder
from pipeline.runtime.run_status import ActiveRun
from pipeline.transport.redis_server import PrivateServer
from pipeline.transport.redis_streams import RedisStreams
from raftline.packet_ring import PacketRing, Stream

WIDTH, HEIGHT, FPS, BIT_RATE = 1280, 720, 15, 4_000_000
_FRAMES = 150
_CHROMIUM = "/usr/bin/chromium"
_COLLECT = """async () => {
  const {mountLive} = await import("/static/live.js");
  const element = document.createElement("div");
  element.style.width = "640px";
  document.body.append(element);
  const live = mountLive(element, {source: "camera", overlays: ["boxes"]});
  window.ms = [];
  const next = () => live.video.requestVideoFrameCallback((now, frame) => {
    const overlay = live.overlay();
    if (overlay) window.ms.push(performance.timeOrigin + frame.expectedDisplayTime - overlay.arrival_ms);
    next();
  });
  next();
}"""
_NAME, _SOURCE = "bench", "camera"
_PORT = 18642
_ME = [sys.executable, "-m", "benchmarks.bench_live_view"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20, help="of each measurement")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--part", choices=("server", "viewers"), help=argparse.SUPPRESS)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    parser.add_argument("--viewers", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part == "server":
        _serve(json.loads(arguments.run))
    elif arguments.part == "viewers":
        _look(arguments.viewers, arguments.seconds)
    else:
        _measure(arguments.seconds, arguments.repeats)


def _measure(seconds: float, repeats: int) -> None:
    percent: dict[int, list[float]] = {0: [], 1: [], 10: []}
    received: dict[int, list[float]] = {0: [], 1: [], 10: []}
    with _played() as run:
        for _ in range(repeats):
            for viewers, measured in percent.items():
                cpu, frames = _once(run, viewers, seconds)
                measured.append(100 * cpu / seconds)
                received[viewers].append(frames)
        late_ms = _latency_ms(run, seconds)
    print(json.dumps(machine()))
    for viewers, measured in percent.items():
        spread = f"{min(measured):.2f} to {max(measured):.2f}"
        print(f"{viewers:2} viewers: {statistics.median(measured):.2f} % of a core ({spread}), "
              f"{statistics.median(received[viewers]):.1f} frames/s each")  # fmt: skip
    cuts = statistics.quantiles(late_ms, n=20)
    print(f"latency, {len(late_ms)} frames: median {cuts[9]:.0f} ms, p95 {cuts[18]:.0f} ms")


def _once(run: dict[str, Any], viewers: int, seconds: float) -> tuple[float, float]:
    """CPU seconds of the server while so many look, and the frames per second that each got."""
    with _server(run) as server:
        asked = [*_ME, "--part", "viewers", "--viewers", str(viewers), "--seconds", str(seconds)]
        with subprocess.Popen(asked, stdout=subprocess.PIPE, text=True) as looking:
            assert looking.stdout is not None
            looking.stdout.readline()
            before = _cpu_seconds(server.pid)
            time.sleep(seconds)
            used = _cpu_seconds(server.pid) - before
            frames = float(looking.stdout.readline())
    return used, frames


@contextlib.contextmanager
def _server(run: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    serving = [*_ME, "--part", "server", "--run", json.dumps(run)]
    with subprocess.Popen(serving, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        server.stdout.readline()
        try:
            yield server
        finally:
            server.send_signal(signal.SIGINT)


def _latency_ms(run: dict[str, Any], seconds: float) -> list[float]:
    """From arrival to the screen, of each frame that was shown after the first seconds."""
    from playwright.sync_api import sync_playwright

    with _server(run), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{_PORT}/api/openapi.json")
        page.evaluate(_COLLECT)
        page.wait_for_timeout(5000)
        page.evaluate("window.ms.length = 0")
        page.wait_for_timeout(1000 * seconds)
        late_ms = page.evaluate("window.ms")
        browser.close()
    return late_ms


def _cpu_seconds(pid: int) -> float:
    values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(values[11]) + int(values[12])) / 100


def _serve(run: dict[str, Any]) -> None:
    import uvicorn

    from raftline.web.access.rights import Access
    from raftline.web.app import make_app
    from raftline.web.watched_run import WatchedRun

    class Played(WatchedRun):
        def active(self) -> ActiveRun:
            return ActiveRun(_NAME, run["url"], directory=Path(run["directory"]))

    app = make_app(Played(_NAME, run["url"]), Access())
    server = uvicorn.Server(uvicorn.Config(app, port=_PORT, log_level="warning", ws_per_message_deflate=False))

    def say_when_ready() -> None:
        _wait_for(lambda: server.started)
        print("ready", flush=True)

    threading.Thread(target=say_when_ready, daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        server.run()


def _look(viewers: int, seconds: float) -> None:
    got = [0] * max(1, viewers)

    def one(number: int) -> None:
        url = f"ws://127.0.0.1:{_PORT}/api/live/{_SOURCE}/video?overlays=mask,boxes"
        with connect(url, max_size=None) as socket:
            for message in socket:
                got[number] += isinstance(message, bytes)

    for number in range(viewers):
        threading.Thread(target=one, args=(number,), daemon=True).start()
    _wait_for(lambda: all(got) or not viewers)
    time.sleep(1)  # what has come since the newest keyframe is sent at once
    before = sum(got)
    print("looking", flush=True)
    time.sleep(seconds)
    print((sum(got) - before) / len(got) / seconds, flush=True)


def _wait_for(true: Any) -> None:
    while not true():
        time.sleep(0.02)


@contextlib.contextmanager
def _played() -> Iterator[dict[str, Any]]:
    packets = _packets()
    server = PrivateServer.start(memory_mb=64)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        directory, stop = Path(name), threading.Event()
        plan = {"name": _NAME, "stages": {"decoder": {}, "motion": {}}, "sources": {_SOURCE: {}}}
        (directory / "plan.json").write_text(json.dumps(plan))
        player = threading.Thread(target=_play, args=(server.url, directory, packets, stop))
        player.start()
        try:
            yield {"url": server.url, "directory": name}
        finally:
            stop.set()
            player.join()
            server.stop()


def _play(url: str, directory: Path, packets: list[tuple[bool, bytes]], stop: threading.Event) -> None:
    ring = PacketRing(run_folder(directory, "packets", _SOURCE, 1), 30, 64_000_000)
    ring.begin(Stream("h264", b"", WIDTH, HEIGHT, Fraction(1, 90_000), time.time_ns()))
    payload = SharedMemoryPayload(directory, f"{_SOURCE}:motion", RingBudget(8, live=True))
    moving = np.zeros((HEIGHT, WIDTH), np.uint8)
    moving[200:420, 300:520] = moving[500:600, 900:1000] = 255
    boxes = ((300, 200, 220, 220), (900, 500, 100, 100))
    objects = tuple(MotionObject(id, box, box[2] * box[3], (3.0, 0.0)) for id, box in enumerate(boxes))
    with contextlib.closing(RedisStreams(url, _NAME)) as redis:
        begin, index = time.monotonic(), 0
        while not stop.wait(max(0.0, begin + index / FPS - time.monotonic())):
            is_keyframe, data = packets[index % len(packets)]
            pts = index * 90_000 // FPS
            ring.packet(pts, pts, time.time_ns(), is_keyframe, data)
            ring.shown(pts, index, pts, Fraction(1, 90_000))
            header = Header(_SOURCE, pts, Fraction(1, 90_000), time.time_ns(), 1, index + 1)
            frame = Frame(header, index, WIDTH, HEIGHT, "yuv420p", (), "bt709", "tv")
            fields: Any = encode(Mask(header, frame, moving, objects), payload).fields
            redis.client.xadd(redis.keys.stream(_SOURCE, "motion"), fields, maxlen=64)
            index += 1
    ring.close()
    payload.close()


@functools.cache
def _packets() -> list[tuple[bool, bytes]]:
    """A moving texture: it fills the bit rate."""
    context: Any = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt, context.bit_rate = WIDTH, HEIGHT, "yuv420p", BIT_RATE
    context.time_base, context.framerate, context.gop_size = Fraction(1, FPS), Fraction(FPS), 2 * FPS
    context.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "annexb=1:repeat-headers=1"}
    rng = np.random.default_rng(0)
    texture = np.kron(rng.integers(40, 200, (HEIGHT // 4, WIDTH // 2), np.uint8), np.ones((4, 4), np.uint8))
    chroma, found = np.full((HEIGHT // 2, WIDTH), 128, np.uint8), []
    for number in [*range(_FRAMES), None]:
        frame = None
        if number is not None:
            luma = np.roll(texture, 5 * number, 1)[:, :WIDTH]
            frame = av.VideoFrame.from_ndarray(np.concatenate([luma, chroma]), "yuv420p")
            frame.pts = number
        found += [(packet.is_keyframe, bytes(packet)) for packet in context.encode(frame)]
    return found


if __name__ == "__main__":
    main()
