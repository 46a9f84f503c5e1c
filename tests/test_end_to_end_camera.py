"""A camera from a real RTSP server through the whole pipeline: it goes, comes back, and its decoder is killed."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from pipeline.config import load_config, make_plan
from pipeline.runtime.supervisor import Status, Supervisor
from tests.data import data_path
from tests.pipeline.running import nothing_left_behind
from tests.rtsp_server import rtsp_server

LEDGER = {"use": "tests.pipeline.plugins:Diary", "reads": "flow", "options": {"path": "{source}.diary.jsonl"}}


class Script:
    """Acts on the running pipeline, one deed after another, each when its number of further frames was seen."""

    def __init__(self, stage: str, deeds: list[tuple[int, Callable[[Supervisor], Any]]]) -> None:
        self.supervisor: Supervisor | None = None
        self._stage = stage
        self._deeds = deeds
        self._since = 0

    def __call__(self, status: Status) -> None:
        frames = status["sources"]["front"]["stages"][self._stage]["frames"]
        if self._deeds and frames - self._since >= self._deeds[0][0]:
            assert self.supervisor is not None
            self._since = frames
            self._deeds.pop(0)[1](self.supervisor)


def test_a_camera_that_goes_and_comes_back_is_followed_with_gaps_marked(tmp_path: Path) -> None:
    config = {
        "name": "camera",
        "output": str(tmp_path / "out"),
        "sources": {"front": {"input": ""}},
        "stages": {
            "decoder": {"use": "stages.decoder:Decoder", "options": {"reconnect_max_seconds": 1}},
            "flow": {"use": "stages.flow:OpticalFlow", "reads": "decoder", "options": {"estimator": "dis"}},
            "motion": {"use": "stages.motion_mask:MotionMask", "reads": "flow"},
            "events": {"use": "stages.event_log:EventLog", "reads": "motion"},
            "diary": LEDGER,
        },
    }
    video = data_path("video", "odd", "bikes.mp4")
    with nothing_left_behind(tmp_path), rtsp_server(video, user="me", password="seCret") as server:
        config["sources"] = {"front": {"input": server.url}}
        file = tmp_path / "camera.yaml"
        file.write_text(yaml.safe_dump(config))
        plan = make_plan(load_config(file))

        def restart_server(_: Supervisor) -> None:
            server.stop()
            time.sleep(1)
            server.start()

        def kill_decoder(supervisor: Supervisor) -> None:
            os.kill(supervisor.worker_pids["decoder"][0], signal.SIGKILL)

        script = Script("diary", [(25, restart_server), (25, kill_decoder), (25, Supervisor.drain)])
        script.supervisor = Supervisor(plan, on_status=script)
        summary = script.supervisor.run()
    diary = [json.loads(line) for line in (plan.output / "front.diary.jsonl").read_text().splitlines()]
    kinds = [line["kind"] for line in diary]
    assert kinds.count("reconnect") == 1
    assert kinds.count("restart") == 1
    assert kinds[-1] == "stopped"
    after_gap = [diary[kinds.index(reason) + 1]["start"] for reason in ("reconnect", "restart")]
    assert after_gap == ["first", "first"]  # flow never reaches across a gap
    times = [line["pts_seconds"] for line in diary if line["kind"] == "Flow"]
    assert times == sorted(set(times))
    assert summary["sources"]["front"]["policy"] == "live"
    assert summary["sources"]["front"]["stages"]["decoder"]["restarts"] == 1
    written = "".join(path.read_text() for path in plan.output.rglob("*.json*"))
    assert "seCret" not in written
