"""The network's parts, and whole frames of a stream, in torch and in OpenVINO; each side in turn, in one process.

    python -m benchmarks.bench_runtimes [--size 640x360 384x216] [--threads 1 2] [--json FILE]

Sides: torch as raftline runs it (float32, channels last); torch with channels first; torch traced, frozen and optimised
for inference by TorchScript; OpenVINO in float32 and in 8 bits. Figures are medians of wall and of CPU milliseconds.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from benchmarks.machine import machine, spread
from raftline.flow.network import open_raft
from raftline.flow.options import FlowOptions
from raftline.flow.session import FlowSession
from raftline.raft.choices import PrecisionName, RuntimeName
from raftline.raft.correlation import LEVELS
from raftline.raft.model import CoarseFlow, PairTerms, Raft, UpdateState

Side = Callable[[], Any]
_SIDES: dict[str, tuple[RuntimeName, PrecisionName]] = {
    "torch": ("torch", "float32"),
    "OpenVINO": ("openvino", "float32"),
    "OpenVINO int8": ("openvino", "int8"),
}


class _LookedUp:
    """Correlation whose lookup takes no time."""

    def __init__(self, correlation: Tensor, radius: int) -> None:
        self.correlation, self.radius = correlation, radius

    def lookup(self, coords: Tensor) -> Tensor:
        return self.correlation


class _Update(nn.Module):
    """The update block on tensors alone, for TorchScript."""

    def __init__(self, model: Raft, terms: PairTerms) -> None:
        super().__init__()
        self.block, self.gates = model.update_block, terms.gates

    def forward(self, hidden: Tensor, correlation: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
        return self.block(hidden, self.gates, correlation, flow)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", nargs="+", default=["640x360", "384x216"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--iterations", type=int, default=4, help="of a frame of a stream")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result: dict[str, Any] = {"machine": machine(), "iterations": arguments.iterations, "cases": {}}
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        for size in arguments.size:
            width, height = map(int, size.split("x"))
            case = f"{size}, {threads} thread{'s' * (threads > 1)}"
            sides = _parts(height, width)
            sides |= {"frame of a stream": _streams(height, width, arguments.iterations, threads)}
            result["cases"][case] = {part: _compare(of, arguments.repeats) for part, of in sides.items()}
            _show(case, result["cases"][case])
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


@torch.inference_mode()
def _parts(height: int, width: int) -> dict[str, dict[str, Side]]:
    image = torch.from_numpy(np.stack(_frames(height, width, 1))).permute(0, 3, 1, 2).float() * (2 / 255) - 1
    image = image.contiguous(memory_format=torch.channels_last)
    parts: dict[str, dict[str, Side]] = {name: {} for name in ("encoders", "context", "update", "upsampling weights")}
    for name, (runtime, precision) in _SIDES.items():
        model = open_raft(FlowOptions(device="cpu", runtime=runtime, precision=precision)).model
        frame = model.encode(image)
        looked_up = torch.randn(1, LEVELS * (2 * model.dimensions.radius + 1) ** 2, *frame.hidden.shape[2:])
        correlation = _LookedUp(looked_up.contiguous(memory_format=torch.channels_last), model.dimensions.radius)
        terms, state = model.begin(frame, correlation)
        state = UpdateState(state.hidden, state.coords + torch.randn_like(state.coords))
        coarse = CoarseFlow(state.coords - terms.origin, state.hidden, frame.guide, 1)
        parts["encoders"][name] = lambda model=model: model.encode(image)
        parts["context"][name] = lambda model=model, frame=frame, seen=correlation: model.begin(frame, seen)
        parts["update"][name] = lambda model=model, terms=terms, state=state: model.step(terms, state)
        parts["upsampling weights"][name] = lambda model=model, coarse=coarse: model.upsampling_weights(coarse)
        if name == "torch":
            flow = (coarse.flow, coarse.flow.contiguous())
            _add_other_torch(parts, model, image, (state.hidden, correlation.correlation, flow[0]), terms)
    return parts


def _add_other_torch(
    parts: dict[str, dict[str, Side]], model: Raft, image: Tensor, seen: tuple[Tensor, ...], terms: PairTerms
) -> None:
    first = copy.deepcopy(model).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    planar = image.contiguous()
    parts["encoders"]["torch, channels first"] = lambda: (first.feature_encoder(planar), first.context_encoder(planar))
    encoders = [_frozen(module, (image,)) for module in (model.feature_encoder, model.context_encoder)]
    parts["encoders"]["torch, frozen"] = lambda: [encoder(image) for encoder in encoders]
    update = _frozen(_Update(model, terms), seen)
    parts["update"]["torch, frozen"] = lambda: update(*seen)


def _frozen(module: nn.Module, arguments: tuple[Tensor, ...]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        traced = torch.jit.trace(module.eval(), arguments, check_trace=False)
        return torch.jit.optimize_for_inference(torch.jit.freeze(traced))


def _streams(height: int, width: int, iterations: int, threads: int) -> dict[str, Side]:
    frames = _frames(height, width, 12)
    sides = {}
    for name, (runtime, precision) in _SIDES.items():
        options = FlowOptions(
            device="cpu",
            runtime=runtime,
            precision=precision,
            iterations=iterations,
            threads=threads,
        )
        session, count = FlowSession(options=options), iter(range(1 << 30))
        # There and back, so that motion never jumps.
        sides[name] = lambda session=session, count=count: session(frames[abs(11 - next(count) % 22)])
    return sides


def _frames(height: int, width: int, count: int) -> list[Any]:
    """A texture that moves by 3 px right and 1 down a frame, with noise."""
    random = np.random.default_rng(0)
    texture = cv2.GaussianBlur(random.integers(0, 256, (height + 64, width + 64, 3), np.uint8), (0, 0), 3)
    texture = cv2.normalize(texture, np.empty_like(texture), 0, 255, cv2.NORM_MINMAX)
    moved = [texture[number : number + height, 3 * number : 3 * number + width] for number in range(count)]
    return [np.clip(each + random.normal(0, 2, each.shape), 0, 255).astype(np.uint8) for each in moved]


def _compare(sides: dict[str, Side], repeats: int) -> dict[str, Any]:
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    with torch.inference_mode():
        for number in range(repeats + 2):
            for name, run in sides.items():
                wall, cpu = time.perf_counter(), time.process_time()
                run()
                spent = time.perf_counter() - wall, time.process_time() - cpu
                if number >= 2:  # the first compile and allocate
                    taken[name].append(spent)
    return {
        name: {
            "wall_ms": spread([1e3 * wall for wall, _ in each], 1),
            "cpu_ms": spread([1e3 * cpu for _, cpu in each], 1),
        }
        for name, each in taken.items()
    }


def _show(case: str, parts: dict[str, Any]) -> None:
    names = list(dict.fromkeys(name for of in parts.values() for name in of))
    table = Table("ms, wall / CPU", *names, title=case, title_justify="left")
    for part, of in parts.items():
        cells = [of.get(name) for name in names]
        table.add_row(part, *(f"{c['wall_ms']['median']} / {c['cpu_ms']['median']}" if c else "" for c in cells))
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
