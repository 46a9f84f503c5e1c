"""SHA-256 of what the product computes: run it on two commits to see whether a change moved one bit.

    python -m benchmarks.output_hashes [--root CHECKOUT] [--only demo stabilize ...] [--keep DIR]

Runs the demo, the shipped configurations, single pairs, `evaluate` and the quality benchmarks of the checkout, and
hashes every file they write, times and machine left out. Compare on one machine only: sums are taken in an order that
depends on the processor and the number of threads. Needs the test data (RAFTLINE_DATA).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.data import needed_data

_ROOT = Path(__file__).resolve().parent.parent
_LEFT_OUT = {"summary.json"}
"""Times, rates and the machine's state."""
_OF_THE_RUN = ("machine", "seconds", "ms", "command", "started")
"""Keys of JSON, or parts of them, whose values are of the run and not of the result."""
_SETTINGS = ("flow",)
"""Keys at the top of a JSON file that repeat how the run was set, as the numbers and words there do."""


def commands(data: Path) -> dict[str, list[str]]:
    """The arguments after ``python`` of every run, by name; ``{out}`` is its folder."""
    shaky, static = data / "video" / "shaky", data / "video" / "static"
    run = ["run_pipeline.py", "run"]
    dis = ["--set", "stages.flow.options.estimator=dis"]
    look_ahead = ["--set", "stages.stabilization.options.smoothing=look_ahead"]
    pair = [str(data / "flow/middlebury/other-data/RubberWhale" / name) for name in ("frame10.png", "frame11.png")]
    sets = [f"--dataset={kind}:{data / 'flow' / kind}" for kind in ("middlebury", "kitti")]
    return {
        "demo": [*run, "configs/demo.yaml", "-o", "{out}"],
        "stabilize": [*run, "configs/stabilize.yaml", "-i", f"{shaky}/meshflow-2.m4v", "-o", "{out}", *dis],
        "look_ahead": [
            *run,
            "configs/stabilize.yaml",
            "-i",
            f"{shaky}/meshflow-3.m4v",
            "-o",
            "{out}",
            *dis,
            *look_ahead,
        ],
        "masks": [*run, "configs/motion_masks.yaml", "-i", f"{data}/masks/tennis", "-o", "{out}", *dis],
        "masks_raft": [*run, "configs/motion_masks.yaml", "-i", f"{data}/masks/dogs-jump.mp4", "-o", "{out}"],
        "events": [*run, "configs/cameras.yaml", "-i", f"{static}/traffic_camera.mp4", "-o", "{out}"],
        "pair": ["run_pipeline.py", "flow", *pair, "-o", "{out}/pair.flo"],
        "evaluate": ["run_pipeline.py", "evaluate", *sets, "--region-matching", "--variational-refinement"]
        + ["--json", "{out}/evaluate.json"],
        "bench_stabilization": [
            "-m",
            "benchmarks.bench_stabilization",
            "--parts",
            "known",
            "--only",
            "static,two_layers",
        ]
        + ["--systems", "dis", "--frames", "90", "--json", "{out}/stabilization.json"],
        "bench_motion_masks": ["-m", "benchmarks.bench_motion_masks", "--only", "real", "--estimators", "dis"]
        + ["--json", "{out}/masks.json"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=_ROOT, help="the checkout to run")
    parser.add_argument("--only", nargs="+", help="runs by name")
    parser.add_argument("--keep", type=Path, help="folder that keeps what was written")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for name, command in commands(needed_data()).items():
            if arguments.only and name not in arguments.only:
                continue
            out = (arguments.keep or Path(temporary)) / name
            out.mkdir(parents=True, exist_ok=True)
            _run(command, out, arguments.root.resolve())
            for line in hashes(out):
                print(f"{name:20} {line}", flush=True)


def _run(command: list[str], out: Path, root: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(root)}
    filled = [sys.executable, *(part.replace("{out}", str(out)) for part in command)]
    done = subprocess.run(filled, cwd=root, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(filled)} ended with {done.returncode}:\n{done.stderr[-2000:]}")


def hashes(folder: Path) -> list[str]:
    """``path SHA-256`` of every file below `folder` that holds a result."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name not in _LEFT_OUT)
    return [f"{file.relative_to(folder)!s:40} {_digest(file)}" for file in files]


def _digest(file: Path) -> str:
    content = file.read_bytes()
    if file.suffix == ".json":
        told = {name: value for name, value in json.loads(content).items() if isinstance(value, (dict, list))}
        told = {name: value for name, value in told.items() if name not in _SETTINGS}
        content = json.dumps(_result(told), sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()


def _result(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _result(value) for key, value in node.items() if not any(word in key for word in _OF_THE_RUN)}
    return [_result(value) for value in node] if isinstance(node, list) else node


if __name__ == "__main__":
    main()
