"""Check that memory stays flat: run many frames through the whole pipeline and watch every process and Redis.

    python -m benchmarks.soak [--frames 20000] [--config configs/demo.yaml] [--json FILE]

Prints the private memory of each process early and late in the run, and the memory that Redis uses. Shared pages are
not counted: they are the rings of pixels, whose size is fixed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import psutil
import redis
from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine
from pipeline.config import load_config, make_plan
from pipeline.runtime.supervisor import Status, Supervisor


class Watch:
    """Samples memory whenever the supervisor reports its status."""

    def __init__(self, frames: int, stage: str) -> None:
        self.frames = frames
        self.stage = stage
        self.supervisor: Supervisor | None = None
        self.directory: Path | None = None
        self.samples: dict[str, list[tuple[int, float]]] = {}

    def __call__(self, status: Status) -> None:
        assert self.supervisor is not None
        done = min(source["stages"][self.stage]["frames"] for source in status["sources"].values())
        if not 0 < done < self.frames:
            return
        for stage, pids in self.supervisor.worker_pids.items():
            for pid in pids:
                self._sample(stage, done, pid)
        server = self.supervisor._private
        if server is not None:
            self.directory = server.directory
            info = redis.Redis.from_url(server.url).info("memory")
            self._add("redis (used_memory)", done, info["used_memory"] / 1e6)  # type: ignore[index]
        self._add("supervisor", done, _private_mb(psutil.Process()))

    def _sample(self, stage: str, done: int, pid: int) -> None:
        try:
            self._add(stage, done, _private_mb(psutil.Process(pid)))
        except psutil.NoSuchProcess:
            pass

    def _add(self, name: str, done: int, value_mb: float) -> None:
        self.samples.setdefault(name, []).append((done, value_mb))

    def table(self) -> list[dict[str, Any]]:
        """Private memory of each process, MB: mean over 10-20 % of the run, mean over the last 10 %, and peak."""
        rows = []
        for name, samples in self.samples.items():
            early = [mb for done, mb in samples if 0.1 <= done / self.frames < 0.2]
            late = [mb for done, mb in samples if done / self.frames >= 0.9]
            if early and late:
                row = {"early_mb": sum(early) / len(early), "late_mb": sum(late) / len(late)}
                rows.append({"process": name, **row, "peak_mb": max(mb for _, mb in samples)})
        return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=20_000, help="frames to process")
    parser.add_argument("--config", type=Path, default=Path("configs/demo.yaml"), help="pipeline to run")
    parser.add_argument("--stage", default="flow", help="stage whose frames are counted")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    arguments = parser.parse_args()
    size = f"{{width: 320, height: 180, fps: 30, seconds: {arguments.frames / 30}}}"
    with tempfile.TemporaryDirectory() as directory:
        overrides = [f"sources.demo.options={size}", "stages.flow.options.estimator=dis"]
        plan = make_plan(load_config(arguments.config, overrides=overrides, output=Path(directory)))
        watch = Watch(arguments.frames, arguments.stage)
        watch.supervisor = Supervisor(plan, on_status=watch)
        summary = watch.supervisor.run()
    assert watch.directory is not None
    left = [str(path) for path in watch.directory.glob("*")]
    source = summary["sources"]["demo"]
    result = {
        "machine": machine(),
        "frames": {stage: about["frames"] for stage, about in source["stages"].items()},
        "seconds": summary["seconds"],
        "memory": watch.table(),
        "segments_left": left,
    }
    _show(result)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


def _show(result: dict[str, Any]) -> None:
    table = Table("process", "10-20 % of the run, MB", "last 10 %, MB", "peak, MB")
    for row in result["memory"]:
        table.add_row(row["process"], *(f"{row[key]:.1f}" for key in ("early_mb", "late_mb", "peak_mb")))
    left = ", ".join(result["segments_left"]) or "none"
    Console().print(table, result["frames"], f"segments left: {left}", f"{result['seconds']:.0f} s")


def _private_mb(process: psutil.Process) -> float:
    return process.memory_full_info().uss / 1e6


if __name__ == "__main__":
    main()
