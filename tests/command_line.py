"""Runs ``run_pipeline.py`` as a user does, over a plug-in that is quick to start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

PLUGIN = '''
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
from pydantic import Field

from pipeline.errors import InputError
from pipeline.messages import Frame
from pipeline.stage import Options, Source, Stage


class Counter(Source):
    """Counts in grey."""

    class Options(Options):
        frames: int = Field(20, ge=1, description="number of frames")
        pause_seconds: float = Field(0.0, ge=0, description="between two frames, in s")

    stopped = False

    @classmethod
    def is_live(cls, input):
        return input.startswith("rtsp://")

    @classmethod
    def check_input(cls, input, display):
        if "gone" in input:
            raise InputError(f"{display}: not there")

    def read(self, start_index):
        if "bad" in self.context.source.input:
            raise InputError(f"{self.context.source.display}: no such file")
        Path(__file__).with_name("begun").touch()
        for index in range(start_index, self.options.frames):
            if self.stopped:
                return
            time.sleep(self.options.pause_seconds)
            header = self.context.header(index, Fraction(1, 25))
            yield Frame(header, index, 16, 8, "gray8", (np.full((8, 16), index % 256, np.uint8),), "rgb", "pc")

    def stop(self):
        self.stopped = True


class Sum(Stage):
    """Writes the sum of each frame."""

    reads = (Frame,)

    class Options(Options):
        path: str = Field("{source}.sums.txt", description="file to write")
        fail_at: int | None = Field(None, description="index of a frame that it cannot take")
        fail_open: bool = Field(False, description="cannot be opened")

    def open(self):
        if self.options.fail_open:
            raise RuntimeError("no such device")
        self.lines = []

    def process(self, message):
        if message.index == self.options.fail_at:
            raise ValueError(f"cannot take frame {message.index}")
        self.lines.append(f"{message.index} {int(np.asarray(message.planes[0]).sum())}")
        return ()

    def flush(self, end):
        output = self.context.output(self.options.path)
        if end.reason == "failed":
            output.discard()
        else:
            output.part.write_text("\\n".join(self.lines) + "\\n")
            output.finish()
        return ()

    def snapshot(self):
        return {"lines": self.lines}

    def restore(self, snapshot):
        self.lines = list(snapshot["lines"])
'''

YAML = """
name: counting
stages:
  counter: {use: "counting:Counter"}
  sums: {use: "counting:Sum", reads: counter}
"""


def lay_out(folder: Path) -> None:
    """Plug-in and configuration, and three inputs that it does not read."""
    (folder / "counting.py").write_text(PLUGIN)
    (folder / "counting.yaml").write_text(YAML)
    for name in ("a.mp4", "b.mp4", "bad.mp4"):
        (folder / name).write_bytes(name.encode())


def command(*arguments: object) -> list[str]:
    return [sys.executable, str(ROOT / "run_pipeline.py"), *map(str, arguments)]


def run(folder: Path, *arguments: object, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run to the end in `folder`; the exit code must be `code`, and no traceback may be shown."""
    done = subprocess.run(
        command(*arguments),
        check=False,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


@contextmanager
def running(folder: Path, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Started in `folder`, killed at the end if it still runs."""
    process = subprocess.Popen(
        command(*arguments), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def summary(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text())


def processes_of(folder: Path) -> list[str]:
    """Command lines of the processes that work in `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and Path(os.readlink(entry / "cwd")) == folder:
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def wait_until_begun(folder: Path) -> None:
    """Until frames are made; an assertion after some minutes."""
    _wait((folder / "begun").exists, "no frame was made")


def wait_until_alone(folder: Path) -> None:
    """Until no process works in `folder`; an assertion after some minutes."""
    _wait(lambda: not processes_of(folder), f"still running in {folder}")


def _wait(condition: Any, otherwise: str) -> None:
    deadline = time.monotonic() + 150
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)
