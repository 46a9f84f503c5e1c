"""A camera that is lost and comes back, fifty times in a row: how soon it is processed again, and what that costs.

    python -m benchmarks.camera_losses [--times 50] [--json FILE]

A real RTSP server is killed; stopped, so that it keeps its connections and says nothing, for shorter and for longer
than the camera's read deadline; and comes back with another password for a while. Measured each time: from the moment
it is back to the first frame that came after that and went through the last stage. Around it memory and descriptors of
every process, keys and memory of Redis, and shared memory; their slopes are printed.

The pauses after a refused password grow to minutes, so that no camera locks the account (docs/operating.md): its rows
are told apart. Needs GStreamer's RTSP server (tests/rtsp_server.py says how to install it) and a redis-server.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.endurance.run_watch import RunWatch
from benchmarks.machine import machine
from benchmarks.storm.checks import lines
from benchmarks.storm.runs import Run
from benchmarks.storm.world import RedisServer, free_port, write_clip
from tests.rtsp_server import RtspServer, missing_parts

_FILM_SECONDS = 120
_LONGEST_SECONDS = 90.0
"""A camera that has not come back within this counts as lost for good."""
_BETWEEN_SECONDS = 2.0
"""It is processed for so long between two losses."""
_SETTLED_LOSSES = 10
"""Losses until what a process keeps for good is there: slopes begin after them."""
_IN_TURN = ("killed", "stopped for 3 s", "killed", "stopped for 12 s", "killed", "killed", "stopped for 3 s")
_IN_TURN += ("killed", "stopped for 12 s", "another password for 3 s")


class Camera:
    """One server and one run that watches it."""

    def __init__(self, folder: Path) -> None:
        film, port = folder / "film.mp4", free_port()
        write_clip(film, _FILM_SECONDS)
        self._right, self._wrong = (
            RtspServer(str(film), port, "me", password, False, 0) for password in ("open", "another")
        )
        self._redis = RedisServer(folder / "redis", persistent=False)
        self._ledger = folder / "out" / "camera.ledger.jsonl"
        self.run = Run("camera-losses", {"camera": self._right.url}, self._redis.url, folder / "out", files=False)
        self.watch = RunWatch(self.run, self._redis.url, "ledger")
        self.losses: dict[str, Callable[[], None]] = {
            "killed": self._killed,
            "stopped for 3 s": lambda: self._stopped(3.0),
            "stopped for 12 s": lambda: self._stopped(12.0),
            "another password for 3 s": self._another_password,
        }

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Server and run, until the block is left."""
        with contextlib.ExitStack() as stack:
            self._redis.start()
            stack.callback(self._redis.kill)
            self._right.start()
            stack.callback(self._wrong.stop)
            stack.callback(self._right.stop)
            self.run.start()
            stack.callback(self.run.terminate)
            self.frame_since(time.time())
            yield

    def frame_since(self, begin: float) -> float | None:
        """Wait for a frame that arrived after a time, s since 1970, at the last stage. Returns the seconds to then."""
        deadline = time.time() + _LONGEST_SECONDS
        while (now := time.time()) < deadline:
            frames = [line for line in self._last_lines() if isinstance(line[2], int)]
            if frames and frames[-1][3] / 1e9 > begin:
                return now - begin
            time.sleep(0.02)
        return None

    def _last_lines(self) -> list[Any]:
        if not self._ledger.exists():
            return []
        with open(self._ledger, "rb") as file:
            file.seek(max(0, self._ledger.stat().st_size - 2000))
            whole = file.read().decode().splitlines()[1:]
        return [json.loads(line) for line in whole if line.endswith("]")]

    def frames(self) -> int:
        """Processed so far."""
        return sum(isinstance(line[2], int) for line in lines(self._ledger))

    def _killed(self) -> None:
        self._right.stop()
        time.sleep(2.0)
        self._right.start()

    def _stopped(self, seconds: float) -> None:
        self._right.pause()
        time.sleep(seconds)
        self._right.resume()

    def _another_password(self) -> None:
        self._right.stop()
        self._wrong.start()
        time.sleep(3.0)
        self._wrong.stop()
        self._right.start()


def lose(times: int, folder: Path) -> dict[str, Any]:
    """Lose a camera so many times. Returns the report."""
    camera = Camera(folder)
    found: list[dict[str, Any]] = []
    settled = 0.0
    with camera.running():
        time.sleep(_BETWEEN_SECONDS)
        for number in range(times):
            how = _IN_TURN[number % len(_IN_TURN)]
            camera.losses[how]()
            back = camera.frame_since(time.time())
            found.append({"how": how, "back_after_seconds": None if back is None else round(back, 2)})
            time.sleep(_BETWEEN_SECONDS)
            camera.watch.sample()
            if number == _SETTLED_LOSSES:
                settled = camera.watch.times[-1]
            print(f"{number + 1}: {how}: back after {back} s", flush=True)
    return {
        "times": times,
        "frames": camera.frames(),
        "seconds": camera.watch.times[-1],
        "back_after_seconds": {how: _told(found, how) for how in sorted(set(_IN_TURN))},
        "held": camera.watch.rows(settled),
        "losses": found,
    }


def _told(found: list[dict[str, Any]], how: str) -> dict[str, Any]:
    seconds = [each["back_after_seconds"] for each in found if each["how"] == how]
    back = [value for value in seconds if value is not None]
    if not back:
        return {"losses": len(seconds), "back": 0}
    return {"losses": len(seconds), "back": len(back), "median": float(np.median(back)), "longest": max(back)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=50, help="how often the camera is lost")
    parser.add_argument("--json", type=Path, help="also write the report to this file")
    arguments = parser.parse_args()
    if missing := missing_parts():
        sys.exit(f"no RTSP server: {missing}; see tests/rtsp_server.py for what to install")
    about = machine()
    with tempfile.TemporaryDirectory(prefix="raftline-losses-") as folder:
        report = {"machine": about, **lose(arguments.times, Path(folder))}
    print(json.dumps({key: value for key, value in report.items() if key != "losses"}, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
