"""Where the updates should start: zero (cold), the last flow (warm), or adaptive: the best of both and the camera.

    python -m benchmarks.bench_warm_start [--weights PATH] [--frames 20] [--clips pan shake] \\
        [--json benchmarks/results/warm_start_cpu.json] [--plot benchmarks/results/warm_start_cpu.png]

A stream is run with each start at each number of iterations, and carries its own flow. The error is the mean distance
in px to the flow of 24 iterations from zero, on the 1/8 grid, and the end-point error where the exact flow is known.
The former favours starts from zero: flows that are as good but reached another way count as wrong. After a cut the
flow means nothing and is not counted, but it is carried.
How long an adaptive start takes is measured by `bench_flow --only warm_start`.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.data import needed_data
from benchmarks.machine import machine
from benchmarks.warm_start.clips import CLIPS, Clip
from benchmarks.warm_start.plot import draw
from raftline.flow.warm_start import choose_start
from raftline.kernels.cell import CELL_PX
from raftline.kernels.forward_splat import forward_splat
from raftline.raft.model import CoarseFlow, EncodedFrame, Raft
from raftline.raft.padding import Padding
from raftline.raft.preprocess import to_network_input
from raftline.raft.weights.loading import load_raft

ITERATIONS = (1, 2, 4, 6, 12)
REFERENCE_ITERATIONS = 24
"""Those of the paper's protocol on KITTI: the flow has settled by then."""
STARTS = ("cold", "warm", "adaptive")
SLACK_PX = 0.02
"""How much worse than the better of cold and warm still counts as never costing."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default=str(needed_data() / "weights" / "raft-small.pth"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--frames", type=int, default=20, help="of each clip")
    parser.add_argument("--clips", nargs="+", choices=list(CLIPS), default=list(CLIPS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    with torch.inference_mode():
        report = measure(arguments)
    _show(report)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    if arguments.plot:
        import cv2

        cv2.imwrite(str(arguments.plot), draw(report["clips"], ITERATIONS))


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Every clip with every start, and the time of a choice."""
    device = torch.device(arguments.device)
    model = load_raft(arguments.weights, device)
    report: dict[str, Any] = {
        "command": f"python -m benchmarks.bench_warm_start --device {arguments.device} --frames {arguments.frames}",
        "machine": {**machine(), "threads": torch.get_num_threads()},
        "device": arguments.device,
        "weights": Path(arguments.weights).name,
        "frames": arguments.frames,
        "clips": {},
    }
    for name in arguments.clips:
        what, read = CLIPS[name]
        report["clips"][name] = {"what": what, **Stream(model, read(arguments.frames), device).compare()}
    return report


class Stream:
    """A clip, encoded once, and the flows that starts are held against."""

    def __init__(self, model: Raft, clip: Clip, device: torch.device) -> None:
        self._model = model
        self._clip = clip
        self._padding = Padding.for_size(*clip.frames[0].shape[:2])
        images = (to_network_input(frame, self._padding, device) for frame in clip.frames)
        self._pairs = list(itertools.pairwise([model.encode(image) for image in images]))
        self._cold = [self._refine(*pair, None, (*ITERATIONS, REFERENCE_ITERATIONS)) for pair in self._pairs]

    def compare(self) -> dict[str, Any]:
        """Mean error in px by start and number of iterations."""
        flows = [flows[REFERENCE_ITERATIONS].flow for number, flows in enumerate(self._cold) if self._counts(number)]
        far = [CELL_PX * float(flow.norm(dim=1).mean()) for flow in flows]
        return {
            "pairs": len(self._pairs),
            "mean_px": round(float(np.mean(far)), 2),
            "measure": "distance" if self._clip.truth is None else "EPE",
            **{
                start: {str(n): round(float(np.mean(self._errors(start, n))), 3) for n in ITERATIONS}
                for start in STARTS
            },
        }

    def _errors(self, start: str, iterations: int) -> list[float]:
        if start == "cold":
            return [
                self._error(number, flows[iterations])
                for number, flows in enumerate(self._cold)
                if self._counts(number)
            ]
        last: Tensor | None = None
        errors = []
        for number, (earlier, later) in enumerate(self._pairs):
            flow_init = None
            if start == "adaptive":
                flow_init = choose_start(earlier.features, later.features, iterations, last).flow
            elif last is not None:
                flow_init = forward_splat(last).flow
            coarse = self._refine(earlier, later, flow_init, (iterations,))[iterations]
            last = coarse.flow
            if self._counts(number):
                errors.append(self._error(number, coarse))
        return errors

    def _refine(
        self, earlier: EncodedFrame, later: EncodedFrame, flow_init: Tensor | None, kept: tuple[int, ...]
    ) -> dict[int, CoarseFlow]:
        terms, state = self._model.begin(earlier, self._model.correlate(earlier, later), flow_init)
        flows = {}
        for done in range(1, max(kept) + 1):
            state = self._model.step(terms, state)
            if done in kept:
                flows[done] = CoarseFlow(
                    (state.coords - terms.origin).clone(), state.hidden.clone(), earlier.guide, done
                )
        return flows

    def _counts(self, number: int) -> bool:
        """Whether the frames of a pair have anything in common."""
        return self._clip.truth is None or self._clip.truth[number + 1] is not None

    def _error(self, number: int, coarse: CoarseFlow) -> float:
        truth = None if self._clip.truth is None else self._clip.truth[number + 1]
        if truth is None:
            reference = self._cold[number][REFERENCE_ITERATIONS].flow
            return CELL_PX * float((coarse.flow - reference).norm(dim=1).mean())
        flow_px = self._padding.unpad(self._model.upsample(coarse))
        exact = torch.from_numpy(truth).permute(2, 0, 1)[None].to(flow_px.device)
        return float((flow_px - exact).norm(dim=1).mean())


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _show(report: dict[str, Any]) -> None:
    table = Table(title=f"px, cold / warm / adaptive, {report['weights']}, {report['frames']} frames a clip")
    for heading in ("clip", "px a frame", "measure", *(f"{number} iterations" for number in ITERATIONS)):
        table.add_column(heading)
    for name, clip in report["clips"].items():
        cells = []
        for number in map(str, ITERATIONS):
            cold, warm, adaptive = (clip[start][number] for start in STARTS)
            missed = " !" if adaptive > min(cold, warm) + SLACK_PX else ""
            cells.append(f"{cold:.3f} / {warm:.3f} / {adaptive:.3f}{missed}")
        table.add_row(name, f"{clip['mean_px']:.1f}", clip["measure"], *cells)
    console = Console(width=150)
    console.print(table)
    console.print(f"!: more than {SLACK_PX} px above the better of cold and warm")
    console.print(f"{report['machine']['cpu']}, {report['machine']['cores']} cores, GPU: {report['machine']['gpu']}")


if __name__ == "__main__":
    main()
