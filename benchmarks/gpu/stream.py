"""Streams on a GPU: one camera and many, both networks, every precision; memory, and how many cameras a card carries.

    python -m benchmarks.gpu.stream --json FILE [--device cpu --tiny]

`session` is a frame's whole way: uint8 RGB in the host's memory to flow on the grid there, cameras in one pass as the
flow stage puts them together. `network` is the same without the host: encoders, correlation, start and iterations.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from benchmarks.flow.clips import consecutive_frames
from benchmarks.flow.memory import LARGE_BY_FORMULA, open_network
from benchmarks.gpu.arguments import parse
from benchmarks.gpu.case_file import CaseFile
from benchmarks.gpu.device import forget_peak, milliseconds, peak_gb
from benchmarks.machine import machine, spread
from raftline.flow.options import FlowOptions
from raftline.flow.session import FlowSession, FrameRequest, estimate_together
from raftline.flow.update_loop import UpdateLoop
from raftline.raft.padding import Padding
from raftline.raft.preprocess import to_network_input

CAMERAS_SIZE, CAMERAS_PER_S, PERIOD_MS = (640, 360), 15, 66.0
"""Small cameras: what a frame may take so that 15 a second are kept up with."""
PASS = 32
"""Cameras in one pass of the network at most."""
COUNTS = (64, 128, 200, 256, 384, 512)
_CLIP = 6
"""Frames of a clip, shown to and fro."""


class Case(NamedTuple):
    """What is measured of one kind of stream."""

    architecture: str
    size: tuple[int, int]
    iterations: int
    precision: Any
    cameras: int

    @property
    def name(self) -> str:
        """Such as "small 640x480, 4 iterations, auto, 16 cameras"."""
        size = f"{self.size[0]}x{self.size[1]}"
        cameras = "1 camera" if self.cameras == 1 else f"{self.cameras} cameras"
        return f"{self.architecture} {size}, {self.iterations} iterations, {self.precision}, {cameras}"


def main() -> None:
    arguments = parse(__doc__)
    device = torch.device(arguments.device)
    results = CaseFile(arguments.json, machine=machine())
    rounds = 2 if arguments.tiny else 30
    first, rest = cases(arguments.tiny, device.type)
    for case in first:
        results.run(case.name, lambda case=case: measured(case, device, rounds))
    results.run("cameras on one card", lambda: capacity(device, arguments.tiny))
    for case in rest:
        results.run(case.name, lambda case=case: measured(case, device, rounds))


def cases(tiny: bool, device_type: str) -> tuple[list[Case], list[Case]]:
    """Those that have an aim, and the others."""
    vga, hd, few, full, many = ((64, 64), (72, 64), 1, 2, 2) if tiny else ((640, 480), (1920, 1080), 4, 12, 16)
    precisions = ("float16", "bfloat16", "float32") if device_type == "cuda" else ("float32",)
    aims = [
        Case("small", vga, few, "auto", 1),
        Case("small", vga, few, "auto", many),
        Case("large", hd, full, "auto", 1),
    ]
    others = [Case("small", vga, few, precision, 1) for precision in precisions]
    others += [Case("large", hd, full, precision, 1) for precision in precisions]
    if not tiny:
        others += [Case("small", vga, few, "auto", cameras) for cameras in (2, 4, 8, 32)]
        others += [Case("small", hd, few, "auto", cameras) for cameras in (1, 4)]
        others += [Case("large", vga, full, "auto", cameras) for cameras in (1, 4)]
        others += [Case("large", hd, full, "auto", 4)]
    return aims, others


def measured(case: Case, device: torch.device, rounds: int) -> dict[str, Any]:
    """Times of a round of all cameras, with a peak of memory and what it ran on."""
    forget_peak(device)
    loop = _network(case.architecture, str(device), case.precision)
    options = _options(case.iterations)
    session_ms, status = _sessions(loop, options, case.size, case.cameras, rounds)
    network_ms = network_times(loop, options, case.size, case.cameras, rounds)
    return {
        "session_ms": spread(session_ms, 3),
        "network_ms": spread(network_ms, 3),
        "session_ms_per_camera": round(spread(session_ms, 6)["median"] / case.cameras, 3),
        "network_ms_per_camera": round(spread(network_ms, 6)["median"] / case.cameras, 3),
        "peak_gb": peak_gb(device),
        "ran_on": {key: status[key] for key in ("precision", "correlation", "update_loop", "lookup", "fallbacks")},
    }


def _options(iterations: int) -> FlowOptions:
    # No look for duplicates and cuts, which is the host's work, and no refinement, which is another kernel's.
    quick = FlowOptions(iterations=iterations, duplicates=None, scene_cut=None, variational_refinement=False)
    return replace(quick, cold_iterations=iterations)


def _network(architecture: str, device: str, precision: Any) -> UpdateLoop:
    """A new one for each case: what another case has recorded does not count in its memory."""
    return open_network("default" if architecture == "small" else LARGE_BY_FORMULA, device, precision, "torch")


def _sessions(
    loop: UpdateLoop, options: FlowOptions, size: tuple[int, int], cameras: int, rounds: int
) -> tuple[list[float], dict[str, Any]]:
    """Milliseconds of each round: a frame of every camera, `PASS` of them in a pass."""
    frames, _ = consecutive_frames(*size, _CLIP)
    sessions = [FlowSession(loop, options) for _ in range(cameras)]

    def one_round(number: int) -> None:
        frame = frames[abs(_CLIP - 1 - number % (2 * _CLIP - 2))]
        for begin in range(0, cameras, PASS):
            estimate_together([FrameRequest(each, frame, False) for each in sessions[begin : begin + PASS]])

    for number in range(4):  # the first pair is cold; then recordings are made
        one_round(number)
    taken = [milliseconds(lambda n=number: one_round(n), loop.device) for number in range(4, 4 + rounds)]
    return taken, vars(sessions[0].status)


@torch.inference_mode()
def network_times(
    loop: UpdateLoop, options: FlowOptions, size: tuple[int, int], cameras: int, rounds: int
) -> list[float]:
    """Milliseconds of each pass: frames on the device, encoded, matched with those before; the flow stays there."""
    frames, _ = consecutive_frames(*size, _CLIP)
    padding = Padding.for_size(size[1], size[0])
    images = [to_network_input(frame, padding, loop.device).expand(cameras, -1, -1, -1) for frame in frames]
    images = [image.contiguous(memory_format=torch.channels_last) for image in images]
    last, flow = loop.model.encode(images[0]), None

    def one_pass(number: int) -> None:
        nonlocal last, flow
        encoded = loop.model.encode(images[abs(_CLIP - 1 - number % (2 * _CLIP - 2))])
        flow = loop(last, encoded, flow, options).flow
        last = encoded

    for number in range(4):
        one_pass(number)
    return [milliseconds(lambda n=number: one_pass(n), loop.device) for number in range(4, 4 + rounds)]


def capacity(device: torch.device, tiny: bool) -> dict[str, Any]:
    """How many small cameras, all of whose frames come at once, have flow before the next ones come (99 of 100)."""
    forget_peak(device)
    loop, options = _network("small", str(device), "auto"), _options(1 if tiny else 4)
    size, rounds = ((64, 64), 2) if tiny else (CAMERAS_SIZE, 100)
    found: dict[str, Any] = {"size": f"{size[0]}x{size[1]}", "frames_per_s": CAMERAS_PER_S, "within_ms": PERIOD_MS}
    found |= {"cameras": 0, "p99_ms": {}}
    for cameras in (2,) if tiny else COUNTS:
        taken, _ = _sessions(loop, options, size, cameras, rounds)
        p99 = sorted(taken)[min(len(taken) - 1, math.ceil(0.99 * len(taken)) - 1)]
        found["p99_ms"][str(cameras)] = round(p99, 2)
        if p99 > PERIOD_MS:
            break
        found["cameras"] = cameras
    one_pass = spread(network_times(loop, options, size, 2 if tiny else PASS, rounds), 3)
    return {**found, "network_ms_of_a_pass": one_pass, "peak_gb": peak_gb(device)}


if __name__ == "__main__":
    main()
