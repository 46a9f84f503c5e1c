"""The machine on the day: nothing that a pipeline needs can be imported, and the GPU's tools are on the PATH."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[3]
MISSING = ("av", "redis", "pydantic", "typer", "openvino", "onnx", "onnxruntime")
_BLOCKER = """
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in {missing} else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
"""
_NCU = """#!/bin/sh
echo '==PROF== Connected'
echo '"ID","Process ID","Kernel Name","Metric Name","Metric Unit","Metric Value"'
echo '"0","1","lookup","dram__bytes.sum","byte","1,000,000"'
echo '"0","1","lookup","gpu__time_duration.sum","nsecond","2,000"'
while [ "$1" != -m ]; do shift; done
exec {python} "$@" >&2
"""
_SANITIZER = """#!/bin/sh
while [ "$1" != -m ]; do shift; done
{python} "$@" || exit
echo '========= ERROR SUMMARY: 0 errors'
"""


def bare_machine(folder: Path, missing: tuple[str, ...] = MISSING) -> dict[str, str]:
    """Environment of processes there. `folder` takes what that needs."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(_BLOCKER.format(missing=set(missing)))
    tools = folder / "bin"
    tools.mkdir()
    for name, text in (("ncu", _NCU), ("compute-sanitizer", _SANITIZER)):
        (tools / name).write_text(text.format(python=sys.executable))
        (tools / name).chmod(0o755)
    _one_known_pair(folder / "data" / "flow" / "middlebury")
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        "PATH": os.pathsep.join([str(tools), os.environ["PATH"]]),
        "RAFTLINE_DATA": str(folder / "data"),
        "OMP_NUM_THREADS": "1",
    }


def run_there(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python with these arguments."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def _one_known_pair(folder: Path) -> None:
    """64x64 px that move by 1 px to the right, laid out as Middlebury's."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 66, 3), dtype=np.uint8)
    texture = cv2.GaussianBlur(noise, (0, 0), 2)
    truth = np.zeros((64, 64, 2), np.float32)
    truth[..., 0] = 1
    for part in ("other-data", "other-gt-flow"):
        (folder / part / "tiny").mkdir(parents=True)
    cv2.imwrite(str(folder / "other-data" / "tiny" / "frame10.png"), texture[:, 1:65])
    cv2.imwrite(str(folder / "other-data" / "tiny" / "frame11.png"), texture[:, :64])
    header = b"PIEH" + np.array([64, 64], np.int32).tobytes()
    (folder / "other-gt-flow" / "tiny" / "flow10.flo").write_bytes(header + truth.tobytes())
