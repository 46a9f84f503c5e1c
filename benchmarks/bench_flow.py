"""RAFT on a stream: this project against torchvision's (and the authors') code, same weights, same frames, in one run.

    pip install --no-deps torchvision==0.28.0
    python -m benchmarks.bench_flow [--device cuda] [--json benchmarks/results/flow_cpu.json]

Parts (--only): rates (what the machine can do), parts (where a frame's time goes, and how far from the machine's rate),
accuracy (end-point errors on all ground truth in the folder of test data, for every number of iterations),
confidence (the errors of what it trusts, and of what not), speed
(frames of a real clip, each way in turn at each frame), runtimes (a stream with ``accuracy: pixels``, its
errors and times, against the same network with 12 iterations in torch, OpenVINO and ONNX Runtime: ``pip install
openvino onnx onnxscript onnxruntime``), lookup (one lookup by itself), warm_start, memory (peak of a
process of its own). On a GPU the sizes are those of 1080p and 4K and the network is RAFT-large as well.

With --resume the file of --json is gone on with: parts that stand in it are not measured again, and one that fails is
noted there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.data import data_folder
from benchmarks.flow import limits, memory, parts
from benchmarks.flow.clips import authors_weights
from benchmarks.flow.exported import exported_flows
from benchmarks.flow.peers import PairFlow, authors_flow, has_torchvision, torchvision_flow
from benchmarks.flow.targets import print_report, targets
from benchmarks.gpu.case_file import CaseFile
from benchmarks.machine import machine
from raftline.flow.accuracy import settings_for
from raftline.flow.options import FlowOptions
from raftline.flow.update_loop import UpdateLoop
from raftline.raft.choices import RuntimeChoice
from raftline.raft.model import Architecture, Raft

PARTS = ("rates", "parts", "accuracy", "confidence", "speed", "runtimes", "lookup", "warm_start", "memory")
ITERATIONS = 12
"""The default of streams, and torchvision's default number of flow updates."""
Size = tuple[int, int]


class Sizes(NamedTuple):
    """Width and height of the frames that are measured."""

    vga: Size = (640, 480)
    hd: Size = (1920, 1080)
    qhd: Size = (2560, 1440)
    uhd: Size = (3840, 2160)


TINY = Sizes((128, 128), (136, 128), (144, 128), (152, 128))
"""To see that every line runs: what a GPU would run, on any device."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--only", choices=PARTS, action="append", help="a part; may be given several times")
    parser.add_argument("--frames", type=int, default=12, help="frames of each speed measurement")
    parser.add_argument("--threads", type=int, help="CPU threads; all cores if not given")
    parser.add_argument("--weights", help="of RAFT-small; the authors' where the test data is, else the shipped ones")
    parser.add_argument("--authors", type=Path, help="a checkout of princeton-vl/RAFT, to be compared as well")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--resume", action="store_true", help="go on with the file of --json, part by part")
    parser.add_argument("--tiny", action="store_true", help="what a GPU would run, with tiny sizes, on any device")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    report = Bench(arguments).run(arguments.only or PARTS)
    print_report(report)
    if arguments.json and not arguments.resume:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


class Bench:
    """One run on one device."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._device = torch.device(arguments.device)
        self._tiny: bool = arguments.tiny
        self._gpu = self._device.type == "cuda" or self._tiny
        self._sizes = TINY if self._tiny else Sizes()
        self._iterations = 2 if self._tiny else ITERATIONS
        self._repeats = 2 if self._tiny else 20
        self._options = FlowOptions(
            iterations=self._iterations,
            warm_start="never",
            duplicates=None,
            scene_cut=None,
            region_matching=False,
            variational_refinement=False,
        )
        self._small = arguments.weights or authors_weights() or "default"
        self._report: dict[str, Any] = {}

    def run(self, wanted: Sequence[str]) -> dict[str, Any]:
        """The parts that were asked for, in their order."""
        self._report = {
            "command": f"python -m benchmarks.bench_flow --device {self._device}",
            "machine": {**machine(), "threads": torch.get_num_threads()},
            "weights": {"small": Path(self._small).name, "large": "random numbers: speed and memory alone"},
        }
        file = CaseFile(self._arguments.json, **self._report) if self._arguments.resume else None
        for part in PARTS:
            if part in wanted:
                measure = getattr(self, f"_{part}")
                found = measure() if file is None else file.run(part, measure)
                if found is not None:
                    self._report[part] = found
        self._report["targets"] = [target._asdict() for target in targets(self._report)]
        return self._report

    def _rates(self) -> dict[str, float]:
        dtypes = (torch.float32, torch.bfloat16, torch.float16) if self._gpu else (torch.float32, torch.bfloat16)
        return limits.machine_rates(self._device, dtypes, tiny=self._tiny)

    def _parts(self) -> dict[str, Any]:
        width, height = self._sizes.hd if self._gpu else self._sizes.vga
        padded = (-(-height // 8) * 8, -(-width // 8) * 8)
        architectures: tuple[Architecture, ...] = ("small", "large")
        return {
            f"{architecture} {width}x{height}": {
                "gflop_per_frame": limits.operations(architecture, *padded, self._iterations),
                "ms": {
                    precision: limits.part_milliseconds(self._raft(architecture, precision, "torch").model, *padded, 7)
                    for precision in ("auto", "float32")
                },
            }
            for architecture in architectures
        }

    def _accuracy(self) -> dict[str, Any]:
        if data_folder() is None:
            return {"skipped": "no folder of test data (RAFTLINE_DATA)"}
        exact = self._raft("small", "float32").model
        peer = torchvision_flow(exact, self._device, ITERATIONS, None) if has_torchvision() else None
        result = {"auto": parts.end_point_errors(self._raft("small").model, peer, 20)}
        if peer is not None:
            result["auto"]["fewest_iterations_within_0.02_px"] = parts.fewest_iterations(result["auto"])
        result["float32"] = parts.end_point_errors(exact, None, 20)
        return result

    def _confidence(self) -> dict[str, Any]:
        return {} if data_folder() is None else parts.confidences(self._raft("small"), self._iterations)

    def _speed(self) -> dict[str, Any]:
        few = self._report.get("accuracy", {}).get("auto", {}).get("fewest_iterations_within_0.02_px", ITERATIONS)
        size = self._sizes.hd if self._gpu else self._sizes.vga
        result = {"small": self._race("small", size, few)}
        result["large"] = self._race("large", size, None)
        return result

    def _race(self, architecture: Architecture, size: tuple[int, int], few: int | None) -> dict[str, Any]:
        auto, exact = self._raft(architecture), self._raft(architecture, "float32")
        streams = {
            f"ours, {self._iterations}": (auto, self._options),
            f"ours, float32, {self._iterations}": (exact, self._options),
            f"ours, regions, {self._iterations}": (auto, replace(self._options, region_matching=True)),
            f"ours, variational, {self._iterations}": (auto, replace(self._options, variational_refinement=True)),
        }
        if few is not None and few < self._iterations:
            streams[f"ours, {few}"] = (auto, replace(self._options, iterations=few))
        frames = 2 if self._tiny else self._arguments.frames
        return parts.speed(streams, self._peers(exact.model), size, frames)

    def _runtimes(self) -> dict[str, Any]:
        if self._gpu or data_folder() is None:
            return {}
        settings = settings_for("pixels", "raft")
        settings.pop("max_side_px")
        auto, options = self._raft("small"), FlowOptions(**settings, duplicates=None)
        exact = self._raft("small", "float32").model
        peers = {"torchvision": torchvision_flow(exact, self._device, ITERATIONS, None)}
        errors = parts.stream_errors(auto, options, peers["torchvision"])
        peers |= exported_flows(exact, self._sizes.vga, ITERATIONS, torch.get_num_threads())
        streams = {"ours, pixels": (auto, options), "ours, full size": (auto, replace(options, network_size="full"))}
        race = parts.speed(streams, peers, self._sizes.vga, self._arguments.frames)
        return {**race, "options": settings, "errors": errors}

    def _peers(self, model: Raft) -> dict[str, PairFlow]:
        peers: dict[str, PairFlow] = {}
        if not self._tiny or has_torchvision():
            peers["torchvision"] = torchvision_flow(model, self._device, self._iterations, None)
            if self._device.type == "cuda":  # a CPU emulates 16 bits: a minute a frame
                half = torchvision_flow(model, self._device, self._iterations, torch.float16)
                peers["torchvision, autocast"] = half
        if self._arguments.authors:
            peers["authors"] = authors_flow(self._arguments.authors, model, self._device, ITERATIONS)
        return peers

    def _lookup(self) -> list[dict[str, Any]]:
        architectures: tuple[Architecture, ...] = ("small", "large")
        sizes = self._sizes[1:] if self._gpu else self._sizes[:1]
        return [
            # The volume of 4K takes 45 GB in half precision, and torchvision's 90.
            parts.lookups(self._raft(architecture).model, size, self._repeats, all_pairs=size != self._sizes.uhd)
            for architecture in architectures
            for size in sizes
        ]

    def _warm_start(self) -> dict[str, Any]:
        return parts.warm_start(self._device, self._sizes.hd, self._repeats)

    def _memory(self) -> dict[str, Any]:
        hd, uhd = self._sizes.hd, self._sizes.uhd
        cases = [("small", hd, "auto")]
        if self._gpu:
            cases = [("large", hd, "on-demand"), ("large", hd, "all-pairs"), ("large", uhd, "on-demand")]
        cases = cases[:1] if self._tiny else cases
        return {
            f"{architecture} {size[0]}x{size[1]} {correlation}": memory.peak_in_a_process_of_its_own(
                architecture, size, correlation, str(self._device), self._iterations
            )
            for architecture, size, correlation in cases
        }

    def _raft(self, architecture: Architecture, precision: Any = "auto", runtime: RuntimeChoice = "auto") -> UpdateLoop:
        weights = self._small if architecture == "small" else memory.LARGE_BY_FORMULA
        return memory.open_network(weights, str(self._device), precision, "torch" if self._tiny else runtime)


if __name__ == "__main__":
    main()
