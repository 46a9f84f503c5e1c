"""Statuses as a supervisor tells them, for the page to read from a real server."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.runtime.run_directory import RunDirectory
from pipeline.runtime.run_status import tell
from pipeline.transport.redis_server import PrivateServer
from pipeline.transport.redis_streams import RedisStreams
from raftline.web.watched_run import WatchedRun

_names = itertools.count()
SECRET = "hunter2hunter2"


def stage(frames: int, **status: str) -> dict[str, Any]:
    """A stage's part of a status."""
    return {
        "frames": frames,
        "dropped": {"late": 2},
        "fps": 10.0,
        "busy_ms_per_frame": 1.0,
        "latency_ms": {"p50": 40.0, "p99": 90.0},
        "restarts": 1,
        "dead_letters": 0,
        "counts": {},
        "status": status,
    }


def source(frames: int = 100, **status: str) -> dict[str, Any]:
    """A camera's part of a status."""
    return {
        "input": f"rtsp://me:{SECRET}@192.0.2.1/stream?token={SECRET}",
        "policy": "live",
        "state": "running",
        "error": None,
        "frames_decoded": frames,
        "frames_expected": None,
        "stages": {"decoder": stage(frames, **status), "flow": stage(frames)},
        "outputs": [],
    }


def status(seconds: float = 60.0, **sources: dict[str, Any]) -> dict[str, Any]:
    """What a supervisor tells."""
    return {
        "pipeline": "garden",
        "payload": "shm",
        "started": "2026-03-01T08:00:00+00:00",
        "seconds": seconds,
        "state": "running",
        "error": None,
        "cores": 2,
        "workers": {"decoder": {"processes": 1, "threads": 1, "cpu_seconds": seconds / 2}},
        "sources": sources or {"gate": source(), "yard": source()},
        "dead_letters": [],
    }


def keep_telling(transport: RedisStreams, told: dict[str, Any]) -> None:
    """Tell a status that does not age, as of a supervisor that tells it again and again, however long a test takes."""
    tell(transport, told)
    transport.client.expire(transport.keys.run_status, 36_000)


@contextmanager
def told_run(server: PrivateServer, output: Path | None = None) -> Iterator[tuple[WatchedRun, RedisStreams]]:
    """A run to watch, and a connection to tell its status by; nothing was told yet."""
    name = f"told{os.getpid()}-{next(_names)}"  # runs are found by name, and other tests run beside these
    run = WatchedRun(name, server.url, output)
    with contextlib.closing(RedisStreams(server.url, name)) as transport, contextlib.closing(run):
        yield run, transport


@contextmanager
def watched(server: PrivateServer, output: Path | None = None, **sources: dict[str, Any]) -> Iterator[WatchedRun]:
    """A run that tells its status."""
    with told_run(server, output) as (run, transport):
        keep_telling(transport, status(60.0, **sources))
        yield run


@contextmanager
def run_directory(run: WatchedRun, server: PrivateServer, output: Path, file: Path) -> Iterator[None]:
    """The directory by which a run is found on this machine."""
    directory = RunDirectory.create()
    plan = {"name": run.name, "redis_url": server.url, "output": str(output), "file": str(file), "folder": str(output)}
    (directory.path / "plan.json").write_text(json.dumps(plan))
    try:
        yield
    finally:
        directory.remove()
