"""A whole pipeline, and a browser on it that reads nothing: a paused tab, a socket that is full."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from pipeline.runtime.run_status import active_runs
from raftline.web.watched_run import WatchedRun
from tests.command_line import ROOT
from tests.raftline.web.client import Page, served
from tests.raftline.web.live.sockets import watching
from tests.stages.alerting import until

NAME = f"stalled-viewer-{os.getpid()}"
CONFIGURATION: dict[str, Any] = {
    "name": NAME,
    "policy": "live",
    "sources": {"noise": {"input": "none", "use": "tests.raftline.web.live.noise_source:NoiseSource"}},
    "stages": {
        "decoder": {"use": "stages.decoder:Decoder"},
        "sink": {"use": "stages.null_sink:NullSink", "reads": "decoder"},
    },
}


@contextmanager
def running(folder: Path) -> Iterator[WatchedRun]:
    file = folder / "run.yaml"
    file.write_text(yaml.safe_dump({**CONFIGURATION, "output": str(folder / "out")}))
    command = [sys.executable, "run_pipeline.py", "run", str(file)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        try:
            until(lambda: any(each.name == NAME for each in active_runs()), 60)
            yield WatchedRun(NAME)
        finally:
            run.send_signal(signal.SIGTERM)
            run.wait(150)


def done(watched: WatchedRun) -> tuple[int, int]:
    """Frames that the whole pipeline has processed, and those that it has dropped."""
    sources = watched.state().sources
    if not sources or not sources[0].stages:
        return 0, 0
    return min(stage.frames for stage in sources[0].stages), sources[0].dropped


def grown(watched: WatchedRun) -> tuple[int, int]:
    """Bytes that Redis holds, and those that wait in it to be sent to whoever is the slowest to read."""
    run = watched.active()
    assert run is not None
    with redis.Redis.from_url(run.redis_url) as client:
        waiting = max(int(each["omem"]) for each in client.client_list())
        return int(client.info("memory")["used_memory"]), waiting


def viewers(page: Page) -> list[Any]:
    """None before the server has taken the first one."""
    feeds = getattr(page.app.state, "live_feeds", None)
    return [] if feeds is None else [each for shared in feeds._shared.values() for each in shared.feed.viewers]


@pytest.mark.slow
def test_a_viewer_that_reads_nothing_makes_the_pipeline_drop_nothing_and_nothing_grow(tmp_path: Path) -> None:
    with running(tmp_path) as watched, served(watched, users=False) as page:
        until(lambda: done(watched)[0] > 20, 60)
        full = socket.create_connection(page.host.split(":"))  # type: ignore[arg-type]
        full.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        with watching(page, "noise", "frames", sock=full, max_queue=1, close_timeout=0.1):
            until(lambda: any(viewer.left_out for viewer in viewers(page)), 60)  # the socket is full
            (frames, dropped), (held, _) = done(watched), grown(watched)
            until(lambda: done(watched)[0] > frames + 60, 60)
            assert done(watched)[1] == dropped
            assert all(viewer._bytes <= 3_500_000 for viewer in viewers(page))
            now, waiting = grown(watched)
            assert now < held + 1_000_000 and waiting < 100_000
            full.shutdown(socket.SHUT_RDWR)
        watched.close()
