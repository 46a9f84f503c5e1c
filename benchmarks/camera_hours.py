"""Eight hours of a camera in minutes: whether anything grows, and whether latency drifts.

    python -m benchmarks.camera_hours [--hours 8] [--rate 24] [--losses 32] [--json FILE]

The camera is one of 1 frame/s, shown as many times faster as `--rate` says by a real RTSP server: eight hours are
28,800 frames, in 20 minutes at 24 frames/s, with as many motion events as frames of a clip make (one every 120 frames),
and with as many losses as a bad week has. What grows with frames, events or reconnects shows; what grows with the hours
of the clock alone does not. Memory and descriptors of each process, keys and memory of Redis, shared memory and latency
are looked at a hundred times, and a line is put through them: its slope per hour of camera time, and the error of that.

Needs GStreamer's RTSP server (tests/rtsp_server.py says how to install it) and a redis-server.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.endurance.run_watch import RunWatch, status_of
from benchmarks.machine import machine
from benchmarks.storm.checks import lines, missing_frames
from benchmarks.storm.runs import Run
from benchmarks.storm.world import RedisServer, free_port, write_clip
from tests.rtsp_server import RtspServer, missing_parts

_FILM_SECONDS = 240
_SAMPLES = 100
_SETTLED_SHARE = 0.2
"""Of the time, after which slopes begin: until then caches fill, the background is learnt, rings are made."""
_AWAY_SECONDS = 1.0
_CAMERA_FPS = 1.0


def hours(seconds: float, rate: float, losses: int, folder: Path) -> dict[str, Any]:
    """Watch a camera for so many seconds of the clock. Returns the report."""
    film = folder / "film.mp4"
    write_clip(film, _FILM_SECONDS, fps=round(rate))
    camera, redis = RtspServer(str(film), free_port(), "", "", False, 0), RedisServer(folder / "redis", False)
    run = Run("camera-hours", {"camera": camera.url}, redis.url, folder / "out", files=False)
    watch = RunWatch(run, redis.url, "events")
    redis.start()
    camera.start()
    run.start()
    try:
        _until_begun(folder / "out" / "camera.ledger.jsonl")
        _look_on(watch, camera, seconds, losses)
        status = status_of(run, redis.url)
    finally:
        run.terminate()
        camera.stop()
        redis.kill()
    ledger = lines(folder / "out" / "camera.ledger.jsonl")
    faster = rate / _CAMERA_FPS
    source: Any = (status.get("sources") or {}).get("camera", {})
    return {
        "clock_seconds": round(seconds),
        "frames_per_second": rate,
        "camera_hours": round(seconds * faster / 3600, 2),
        "frames": sum(isinstance(line[2], int) for line in ledger),
        "missing_without_a_gap": missing_frames(ledger),
        "dropped": {name: stage["dropped"] for name, stage in source.get("stages", {}).items() if stage["dropped"]},
        "losses": losses,
        "events": len(lines(folder / "out" / "camera.motion.jsonl")),
        "held": [_per_camera_hour(row, faster) for row in watch.rows(_SETTLED_SHARE * seconds)],
    }


def _per_camera_hour(row: dict[str, Any], faster: float) -> dict[str, Any]:
    slopes = {name: round(row[name] / faster, 4) for name in ("per_hour", "slope_error")}
    return {**row, **slopes}


def _until_begun(ledger: Path) -> None:
    deadline = time.monotonic() + 60
    while not lines(ledger):
        if time.monotonic() > deadline:
            sys.exit("no frame within a minute")
        time.sleep(0.2)


def _look_on(watch: RunWatch, camera: RtspServer, seconds: float, losses: int) -> None:
    begin = time.monotonic()
    lost = 0
    for number in range(_SAMPLES):
        time.sleep(max(0.0, begin + seconds * (number + 1) / _SAMPLES - time.monotonic()))
        watch.sample()
        if losses * (number + 1) // _SAMPLES > lost:
            lost += 1
            camera.stop()
            time.sleep(_AWAY_SECONDS)
            camera.start()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=8.0, help="of camera time")
    parser.add_argument("--rate", type=float, default=24.0, help="frames/s that are shown of a camera of 1 frame/s")
    parser.add_argument("--losses", type=int, default=32, help="how often it is lost on the way")
    parser.add_argument("--json", type=Path, help="also write the report to this file")
    arguments = parser.parse_args()
    if missing := missing_parts():
        sys.exit(f"no RTSP server: {missing}; see tests/rtsp_server.py for what to install")
    about, seconds = machine(), 3600 * arguments.hours * _CAMERA_FPS / arguments.rate
    with tempfile.TemporaryDirectory(prefix="raftline-hours-") as folder:
        report = {"machine": about, **hours(seconds, arguments.rate, arguments.losses, Path(folder))}
    print(json.dumps(report, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
