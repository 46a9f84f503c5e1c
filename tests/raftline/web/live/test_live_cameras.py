"""Two cameras of a real RTSP server, through the whole pipeline, into a real browser and onto the disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.runtime.run_status import active_runs
from raftline.web.watched_run import WatchedRun
from tests.command_line import ROOT
from tests.data import data_path
from tests.raftline.web.browser import chromium
from tests.raftline.web.client import served
from tests.raftline.web.live.test_live_in_browser import MOUNT, STATS, until
from tests.rtsp_server import rtsp_server

FPS = 5
NAME = f"live-cameras-{os.getpid()}"


def configuration(output: Path, sources: dict[str, str]) -> dict[str, Any]:
    """Motion masks and clips of cameras."""
    stages = {
        "decoder": {"use": "stages.decoder:Decoder"},
        "flow": {"use": "stages.flow:OpticalFlow", "reads": "decoder", "options": {"estimator": "dis"}},
        "motion_mask": {"use": "stages.motion_mask:MotionMask", "reads": "flow"},
        "recorder": {"use": "stages.recorder:Recorder", "reads": "motion_mask", "options": {"least_free_mb": 0}},
    }
    inputs = {name: {"input": url} for name, url in sources.items()}
    return {"name": NAME, "output": str(output), "sources": inputs, "stages": stages}


@contextmanager
def running(folder: Path) -> Iterator[None]:
    """A run of two cameras."""
    with ExitStack() as stack:
        clips = {"gate": data_path("video", "static", "car-detection.mp4"), "yard": "ball"}
        servers = {name: stack.enter_context(rtsp_server(clip, fps=FPS)) for name, clip in clips.items()}
        file = folder / "cameras.yaml"
        urls = {name: each.url for name, each in servers.items()}
        file.write_text(yaml.safe_dump(configuration(folder / "out", urls)))
        command = [sys.executable, "run_pipeline.py", "run", str(file)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
            try:
                yield
            finally:
                run.send_signal(signal.SIGTERM)
                run.wait(150)


@pytest.mark.slow
def test_two_cameras_are_seen_with_what_moves_in_them_and_recorded(tmp_path: Path) -> None:
    with chromium() as browser:
        with running(tmp_path):
            while not any(run.name == NAME for run in active_runs()):
                time.sleep(0.1)
            watched = WatchedRun(NAME)
            (directory,) = (run.directory for run in active_runs() if run.name == NAME)
            with served(watched, users=False) as page:
                tab = browser.new_page()
                tab.goto(f"{page.url}/api/openapi.json")
                for source in ("gate", "yard"):
                    tab.evaluate(MOUNT, [source, "camera", ["mask", "boxes"]])
                for source in ("gate", "yard"):
                    until(tab, f"window.live.{source}.stats.found >= 15")
                    assert tab.evaluate(STATS, source)["note"] == ""
                until(tab, "window.live.gate.overlay()?.boxes?.length > 0")
                until(tab, "window.live.gate.stats.found >= 40")  # so that there is a clip
        assert directory is not None and not directory.exists()
        clips = sorted(tmp_path.glob("out/gate.recordings/*.mp4"))
        assert json.loads(clips[0].with_suffix(".json").read_text())["events"]
        tab.goto(f"file://{clips[0]}")
        until(tab, "document.querySelector('video').readyState >= 2")
        assert tab.evaluate("document.querySelector('video').duration") > 1
