"""The shipped demo configuration with every worker killed once: everything is complete, every frame there once."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import av

from pipeline.config import load_config, make_plan
from pipeline.runtime.supervisor import Status, Supervisor
from tests.pipeline.running import nothing_left_behind

ROOT = Path(__file__).parents[1]
FRAMES = 240


class Killer:
    """Kills the workers of one stage after another, each in the middle of its work."""

    def __init__(self, stages: list[str]) -> None:
        self.supervisor: Supervisor | None = None
        self.killed: list[str] = []
        self._left = stages
        self._last = 0.0

    def __call__(self, status: Status) -> None:
        assert self.supervisor is not None
        frames = {name: stage["frames"] for name, stage in status["sources"]["demo"]["stages"].items()}
        for stage in self._left:
            pids = self.supervisor.worker_pids.get(stage, [])
            if pids and 5 <= frames[stage] < FRAMES and time.monotonic() - self._last > 0.4:
                os.kill(pids[0], signal.SIGKILL)
                self._last = time.monotonic()
                self._left.remove(stage)
                self.killed.append(stage)
                return


def test_every_worker_of_the_demo_is_killed_once_and_everything_is_complete(tmp_path: Path) -> None:
    overrides = [
        f"sources.demo.options={{width: 320, height: 180, fps: 30, seconds: {FRAMES / 30}}}",
        "stages.flow.options.estimator=dis",
        "stages.masks={use: 'stages.mask_writer:MaskWriter', reads: motion_mask}",
    ]
    plan = make_plan(load_config(ROOT / "configs" / "demo.yaml", overrides=overrides, output=tmp_path))
    killer = Killer(list(plan.stages))
    killer.supervisor = Supervisor(plan, on_status=killer)
    with nothing_left_behind(tmp_path):
        summary = killer.supervisor.run()
    stages = summary["sources"]["demo"]["stages"]
    assert len(killer.killed) >= 5, "the run was over before enough workers were killed"
    assert summary["state"] == "finished"
    assert {name: stage["frames"] for name, stage in stages.items()} == dict.fromkeys(plan.stages, FRAMES)
    assert sum(stage["restarts"] for stage in stages.values()) >= len(killer.killed)
    for name in ("stabilized", "side_by_side", "overlay", "flow"):
        with av.open(str(tmp_path / f"demo.{name}.mp4")) as video:
            stream = video.streams.video[0]
            times = [round(float((frame.pts or 0) * stream.time_base) * 30) for frame in video.decode(stream)]
        assert times == list(range(FRAMES)), name
    assert len(list((tmp_path / "demo.masks").glob("*.png"))) == FRAMES
    assert len((tmp_path / "demo.path.jsonl").read_text().splitlines()) == FRAMES
    assert (tmp_path / "events.jsonl").read_text() == (tmp_path / "demo.motion.jsonl").read_text()
