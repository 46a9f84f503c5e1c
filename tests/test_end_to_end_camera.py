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

CAMERA = {"reconnect_max_seconds": 1, "read_timeout_seconds": 60, "connect_timeout_seconds": 60}
LEDGER = {"use": "tests.pipeline.plugins:Diary", "reads": "flow", "options": {"path": "{source}.diary.jsonl"}}


class Script:
    """Acts on the running pipeline, one deed after another, each once the diary holds 25 frames after its gap.

    Without the gap, frames that were on their way when the camera went would count as those that came later.
    """

    def __init__(self, diary: Path, deeds: list[tuple[str, Callable[[Supervisor], Any]]]) -> None:
        self.supervisor: Supervisor | None = None
        self._diary = diary
        self._deeds = deeds

    def __call__(self, _: Status) -> None:
        if not self._deeds or not self._diary.exists():
            return
        reason, deed = self._deeds[0]
        kinds = kinds_of(self._diary)
        if (not reason or reason in kinds) and kinds[kinds.index(reason) if reason else 0 :].count("Flow") >= 25:
            assert self.supervisor is not None
            self._deeds.pop(0)
            deed(self.supervisor)


def kinds_of(diary: Path) -> list[str]:
    return [json.loads(line)["kind"] for line in diary.read_text().splitlines()]


def test_a_camera_that_goes_and_comes_back_is_followed_with_gaps_marked(tmp_path: Path) -> None:
    config = {
        "name": "camera",
        "output": str(tmp_path / "out"),
        "sources": {"front": {"input": ""}},
        "stages": {
            "decoder": {"use": "stages.decoder:Decoder", "options": CAMERA},
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

        part = plan.output / "front.diary.jsonl.part"
        script = Script(part, [("", restart_server), ("reconnect", kill_decoder), ("restart", Supervisor.drain)])
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
