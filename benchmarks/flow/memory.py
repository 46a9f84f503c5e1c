"""The most memory that a stream takes, in a process of its own.

python -m benchmarks.flow.memory small 1920x1080 auto cpu 12
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from typing import Any

import torch

from raftline.flow.network import open_raft, prepare
from raftline.flow.options import FlowOptions
from raftline.flow.session import FlowSession
from raftline.flow.update_loop import UpdateLoop
from raftline.raft.choices import PrecisionChoice, RuntimeChoice
from raftline.raft.devices import choose_device
from raftline.raft.model import Raft
from raftline.raft.precision import choose_precision

LARGE_BY_FORMULA = "large, random"


def open_network(
    weights: str, device: str, precision: PrecisionChoice = "auto", runtime: RuntimeChoice = "auto"
) -> UpdateLoop:
    """The shipped weights ("default"), or RAFT-large with random numbers, of which only speed and memory mean
    something."""
    options = FlowOptions(weights=weights, device=device, precision=precision, runtime=runtime)
    if weights != LARGE_BY_FORMULA:
        return open_raft(options)
    chosen = choose_device(device)
    torch.manual_seed(0)
    model = Raft("large").eval().requires_grad_(False).to(chosen, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return prepare(model.to_precision(choose_precision(chosen, precision)), options)


def peak_in_a_process_of_its_own(
    architecture: str, size: tuple[int, int], correlation: str, device: str, iterations: int
) -> dict[str, float]:
    """Gigabytes: of the process (resident), and of the GPU (allocated by torch)."""
    arguments = [architecture, f"{size[0]}x{size[1]}", correlation, device, str(iterations)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.flow.memory", *arguments], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def _measure(architecture: str, size: str, correlation: Any, device: str, iterations: int) -> dict[str, float]:
    from benchmarks.flow.clips import consecutive_frames

    width, height = (int(side) for side in size.split("x"))
    frames, _ = consecutive_frames(width, height, 3)
    update_loop = open_network("default" if architecture == "small" else LARGE_BY_FORMULA, device)
    options = FlowOptions(iterations=iterations, correlation=correlation, duplicates=None, scene_cut=None)
    session = FlowSession(update_loop, options)
    for frame in frames:
        session(frame)
    peak = {"process_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2)}
    if update_loop.device.type == "cuda":
        peak["gpu_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
    return peak


if __name__ == "__main__":
    _, architecture, size, correlation, device, iterations = sys.argv
    print(json.dumps(_measure(architecture, size, correlation, device, int(iterations))))
