"""A run in a thread of the test, whose sources and options change while it goes on."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from pipeline.config import load_config, make_plan
from pipeline.config.live import LiveConfig
from pipeline.runtime.run_status import ActiveRun, active_runs
from pipeline.runtime.supervisor import Status, Supervisor


class ChangingRun:
    """Use it as a context manager; its file is written anew by `write`, from `written`."""

    def __init__(self, folder: Path, name: str, sources: dict[str, Any], stages: dict[str, Any], **top: Any) -> None:
        self.name = f"{name}-{os.getpid()}"
        self.output, self.file = folder / "out", folder / "changing.yaml"
        self.written: dict[str, Any] = {
            "name": self.name,
            "output": str(self.output),
            "limits": {"max_latency_ms": 60_000, "restarts": 1},
            "sources": sources,
            "stages": stages,
            **top,
        }
        self.write()
        config = load_config(self.file)
        live = LiveConfig(config, lambda: load_config(self.file))
        self.status: Status = {}
        """What it told last."""
        self.supervisor = Supervisor(make_plan(config), on_status=self._on_status, live=live)
        self._thread = threading.Thread(target=self.supervisor.run)

    def __enter__(self) -> ChangingRun:
        self._thread.start()
        self.wait(lambda: self.status)
        return self

    def __exit__(self, *_: object) -> None:
        self.supervisor.drain()
        self._thread.join()

    @property
    def active(self) -> ActiveRun:
        """As the command line finds it."""
        return next(run for run in active_runs() if run.name == self.name)

    def write(self) -> None:
        """Write the file, as an editor does."""
        new = self.file.with_suffix(".new")
        new.write_text(yaml.safe_dump(self.written))
        os.replace(new, self.file)

    def wait(self, condition: Callable[[], Any]) -> None:
        """Until it holds; an assertion after a while, or if the run has ended."""
        deadline = time.monotonic() + 60
        while not condition():
            assert self._thread.is_alive() and time.monotonic() < deadline, self.status
            time.sleep(0.02)

    def frames(self, source: str) -> int:
        """That the last stage has processed."""
        return int(self._last_stage(source).get("frames", 0))

    def said(self, source: str, stage: str | None = None) -> dict[str, str]:
        """What the last stage, or another, says of itself."""
        if stage is None:
            return dict(self._last_stage(source).get("status", {}))
        return dict(self.status["sources"].get(source, {"stages": {stage: {"status": {}}}})["stages"][stage]["status"])

    def _last_stage(self, source: str) -> dict[str, Any]:
        stages = self.status.get("sources", {}).get(source, {"stages": {"": {}}})["stages"]
        return list(stages.values())[-1]

    def trouble(self) -> str:
        """What is wrong with the last edit."""
        return str(self.status["configuration"]["trouble"])

    def left(self, source: str) -> bool:
        """Whether a source is gone."""
        return source not in self.status["sources"]

    def _on_status(self, status: Status) -> None:
        self.status = status
