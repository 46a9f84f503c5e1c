"""The pipelines of a storm, each a process of ``raftline run``."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import yaml

ROOT = Path(__file__).resolve().parents[2]
END_SECONDS = 10.0
"""SIGTERM ends a run within this."""
_DIS = {"use": "stages.flow:OpticalFlow", "reads": "decoder", "options": {"estimator": "dis"}}
_MASKS = {
    "decoder": {"use": "stages.decoder:Decoder"},
    "flow": _DIS,
    "motion_mask": {"use": "stages.motion_mask:MotionMask", "reads": "flow", "options": {"merge_seconds": 1.0}},
    "ledger": {"use": "benchmarks.storm.ledger:FrameLedger", "reads": "motion_mask"},
    "events": {"use": "stages.event_log:EventLog", "reads": "motion_mask"},
}
_FILES = {
    "masks": {"use": "stages.mask_writer:MaskWriter", "reads": "motion_mask"},
    "stabilized": {"use": "stages.stabilization:Stabilization", "reads": "flow"},
    "video": {"use": "stages.video_writer:VideoWriter", "reads": "stabilized", "options": {"preset": "ultrafast"}},
}


class Run:
    """A pipeline from its start to its end."""

    def __init__(self, name: str, sources: Mapping[str, str], redis_url: str, output: Path, files: bool) -> None:
        self.name, self.output, self.sources = name, output, dict(sources)
        self._log_level = "WARNING" if files else "DEBUG"  # tells of each message that is dropped, as no file's is
        output.parent.mkdir(parents=True, exist_ok=True)
        stages = {**_MASKS, **(_FILES if files else {})}
        config = {
            "name": name,
            "sources": {each: {"input": where} for each, where in sources.items()},
            "stages": stages,
            "redis": {"url": redis_url},
            "limits": {"restarts": 20},
        }
        self._config = output.parent / f"{output.name}.yaml"
        self._config.write_text(yaml.safe_dump(config))
        self.log = output.parent / f"{output.name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin, or begin again."""
        command = [sys.executable, str(ROOT / "run_pipeline.py"), "run", str(self._config), "-o", str(self.output)]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            "RAFTLINE_LOG": self._log_level,
        }
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment)

    @property
    def ended(self) -> int | None:
        """Its exit code; None while it runs."""
        return None if self.process is None else self.process.poll()

    def workers(self) -> list[psutil.Process]:
        """Its worker processes."""
        found = []
        for child in self._children():
            with contextlib.suppress(psutil.NoSuchProcess):
                found += [child] if child.name().startswith("rl:") else []
        return found

    def all_processes(self) -> list[int]:
        """Ids of all processes that it has started and that live."""
        return [child.pid for child in self._children()]

    def terminate(self) -> float:
        """Send SIGTERM; the seconds it took to end, `END_SECONDS` times two if it did not."""
        assert self.process is not None
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(END_SECONDS * 2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        return time.monotonic() - started

    def summary(self) -> dict[str, Any]:
        """What it left; empty if nothing."""
        file = self.output / "summary.json"
        return json.loads(file.read_text()) if file.exists() else {}

    def last_words(self) -> str:
        """The end of its log."""
        said = self.log.read_text(errors="replace").splitlines(keepends=True)
        return "".join(line for line in said if not line.startswith("DEBUG "))[-600:]

    def _children(self) -> Sequence[psutil.Process]:
        if self.process is None or self.process.poll() is not None:
            return []
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
