"""Where the time of one frame goes on a GPU: by kernel, launches, and bytes against the card's measured copy bandwidth.

    python -m benchmarks.gpu.profile --json FILE [--device cpu --tiny]

torch's profiler gives times and launches. Bytes come from Nsight Compute (`ncu`) where it is installed and may read the
counters.
"""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.flow.clips import consecutive_frames
from benchmarks.flow.limits import machine_rates, synchronise
from benchmarks.flow.memory import LARGE_BY_FORMULA, open_network
from benchmarks.gpu.arguments import parse
from benchmarks.gpu.case_file import CaseFile
from benchmarks.gpu.device import milliseconds
from benchmarks.machine import machine
from raftline.flow.options import FlowOptions
from raftline.flow.session import FlowSession

FRAMES = {"small": ((640, 480), 4), "large": ((1920, 1080), 12)}
"""Size and iterations of the frame that is looked at."""
TINY = {"small": ((64, 64), 1), "large": ((64, 64), 1)}
_ROWS = 25
_LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx", "cudaGraphLaunch")
_METRICS = "dram__bytes.sum,gpu__time_duration.sum"


def main() -> None:
    if sys.argv[1:2] == ["--one-frame"]:
        _, _, architecture, device, tiny = sys.argv
        _only_one_frame(architecture, torch.device(device), tiny == "tiny")
        return
    arguments = parse(__doc__)
    device = torch.device(arguments.device)
    results = CaseFile(arguments.json, machine=machine())
    rates = results.run("rates", lambda: machine_rates(device, (torch.float32,), tiny=arguments.tiny))
    for architecture in FRAMES:
        results.run(f"{architecture}, time", lambda name=architecture: by_kernel(name, device, arguments.tiny))
    copy = (rates or {}).get("copy_gb_per_s")
    for architecture in FRAMES:
        name = f"{architecture}, bytes"
        results.run(name, lambda name=architecture: by_counters(name, device, arguments.tiny, copy))


def _frame(architecture: str, device: torch.device, tiny: bool) -> Callable[[], object]:
    """A warm stream's next frame, as a call."""
    size, iterations = (TINY if tiny else FRAMES)[architecture]
    weights = "default" if architecture == "small" else LARGE_BY_FORMULA
    loop = open_network(weights, str(device), runtime="torch")
    options = FlowOptions(iterations=iterations, cold_iterations=iterations, duplicates=None, scene_cut=None)
    session = FlowSession(loop, options)
    frames, _ = consecutive_frames(*size, 6)
    for frame in frames[:4]:
        session(frame)
    left = iter(frames[4:] + frames[::-1])
    return lambda: session(next(left))


def by_kernel(architecture: str, device: torch.device, tiny: bool) -> dict[str, Any]:
    """Milliseconds of the frame, on the clock and summed over what ran on the device, and the longest rows."""
    frame = _frame(architecture, device, tiny)
    wall_ms = milliseconds(frame, device)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=activities) as profiled:
        frame()
        synchronise(device)
    key = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    rows = sorted(profiled.key_averages(), key=lambda row: -getattr(row, key))
    # On a GPU an operation is charged with its kernels, which have rows of their own.
    of_device = [row for row in rows if device.type == "cpu" or row.device_type.name == "CUDA"]
    counted = [row for row in of_device if getattr(row, key) > 0]
    return {
        "wall_ms": round(wall_ms, 3),
        "device_ms": round(sum(getattr(row, key) for row in counted) / 1e3, 3),
        "launches": sum(row.count for row in rows if row.key in _LAUNCHES),
        "rows": [
            {"what": row.key[:120], "ms": round(getattr(row, key) / 1e3, 4), "count": row.count}
            for row in counted[:_ROWS]
        ],
    }


def by_counters(architecture: str, device: torch.device, tiny: bool, copy_gb_per_s: float | None) -> dict[str, Any]:
    """Bytes of the card's memory that each kernel moved, per second, beside the copy's.

    Raises:
        RuntimeError: ncu ran and gave no counters, with what it said: it may need another user's rights.
    """
    program = shutil.which("ncu")
    if program is None:
        return {"left_out": "ncu is not on the PATH; it comes with Nsight Compute"}
    own = [sys.executable, "-m", "benchmarks.gpu.profile", "--one-frame", architecture, str(device)]
    command = [program, "--csv", "--print-units", "base", "--metrics", _METRICS, "--profile-from-start", "off"]
    command += ["--target-processes", "all", "--clock-control", "none", *own, "tiny" if tiny else "full"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    rows = counters(done.stdout)
    if not rows:
        raise RuntimeError(f"ncu gave no counters (exit code {done.returncode}): {(done.stdout + done.stderr)[-1500:]}")
    for row in rows:
        row["gb_per_s"] = round(row["bytes"] / max(row["ns"], 1), 1)
        row["share_of_copy"] = None if not copy_gb_per_s else round(row["gb_per_s"] / copy_gb_per_s, 3)
    return {"copy_gb_per_s": copy_gb_per_s, "kernels": len(rows), "rows": rows[:_ROWS]}


def counters(said: str) -> list[dict[str, Any]]:
    """By kernel, the longest first: launches, nanoseconds, bytes. `said` is what ``ncu --csv`` prints."""
    lines = said.splitlines()
    begin = next((number for number, line in enumerate(lines) if line.startswith('"ID"')), len(lines))
    found: dict[str, dict[str, Any]] = defaultdict(lambda: {"launches": 0, "ns": 0.0, "bytes": 0.0})
    for row in csv.DictReader(io.StringIO("\n".join(lines[begin:]))):
        value = float(row["Metric Value"].replace(",", ""))
        kernel = found[row["Kernel Name"][:120]]
        if row["Metric Name"] == "gpu__time_duration.sum":
            kernel["launches"] += 1
            kernel["ns"] += value
        else:
            kernel["bytes"] += value
    return sorted(({"what": name, **row} for name, row in found.items()), key=lambda row: -row["ns"])


def _only_one_frame(architecture: str, device: torch.device, tiny: bool) -> None:
    """Of this process ncu counts one frame alone."""
    frame = _frame(architecture, device, tiny)
    synchronise(device)
    if device.type == "cuda":
        torch.cuda.profiler.start()
    frame()
    synchronise(device)
    if device.type == "cuda":
        torch.cuda.profiler.stop()


if __name__ == "__main__":
    main()
