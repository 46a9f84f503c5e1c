"""How much nearer to the truth flow comes by variational refinement, and what that costs, beside OpenCV's.

    python -m benchmarks.bench_variational_refinement [--device cuda] [--threads 2] [--weights FILE] [--repeats 15]
        [--json FILE] [--tiny]

One network's flow of every pair of the ground truth (20 iterations; in the folder that RAFTLINE_DATA names) is
refined by either side; without that folder only the times are measured. OpenCV's VariationalRefinement is run as it
comes, and once with settings that suit this flow better (`THOROUGH`). The times are of one pair after the other, both
sides in turn, at two sizes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.data import data_folder
from benchmarks.flow.clips import Image, KnownPair, consecutive_frames, known_pairs
from benchmarks.machine import machine, spread
from raftline.flow.network import open_raft
from raftline.flow.options import FlowOptions
from raftline.flow.update_loop import UpdateLoop
from raftline.flow.variational import luma_of, refine_on_images
from raftline.raft.padding import Padding
from raftline.raft.preprocess import to_network_input

ITERATIONS = 20
"""As `raftline evaluate` takes by default."""
SIZES = {"640x360": (640, 360), "1280x720": (1280, 720)}
THOROUGH = {"Alpha": 10.0, "FixedPointIterations": 10, "SorIterations": 10}
"""The best of eight settings on Middlebury."""
Flow = np.ndarray
Side = Callable[[Image, Image, Flow], Flow]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="on the CPU, of both")
    parser.add_argument("--weights", default="default")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--tiny", action="store_true", help="the smallest sizes: shows that every line runs, no more")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(arguments.threads)
    update_loop = open_raft(FlowOptions(weights=arguments.weights, device=arguments.device))
    sides: dict[str, Side] = {
        "ours": lambda image1, image2, flow_px: _ours(update_loop.device, image1, image2, flow_px),
        "OpenCV": lambda image1, image2, flow_px: _opencv(image1, image2, flow_px, {}),
        "OpenCV, thorough": lambda image1, image2, flow_px: _opencv(image1, image2, flow_px, THOROUGH),
    }
    sizes, repeats = ({"tiny": (64, 64)}, 1) if arguments.tiny else (SIZES, arguments.repeats)
    result: dict[str, Any] = {
        "command": f"python -m benchmarks.bench_variational_refinement --device {arguments.device}",
        "machine": machine(),
        "device": str(update_loop.device),
        "threads": arguments.threads,
        "weights": Path(arguments.weights).name,
        "epe_px": {pair.name: _errors(update_loop, pair, sides) for pair in _pairs(arguments.tiny)},
        "ms": {name: _times(update_loop, *size, sides, repeats) for name, size in sizes.items()},
    }
    _show(result)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


def _pairs(tiny: bool) -> Iterator[KnownPair]:
    """All ground truth that is there; for a trial one still frame."""
    if tiny:
        (image, _), _ = consecutive_frames(64, 64, 2)
        yield KnownPair("one frame twice", image, image, np.zeros((64, 64, 2), np.float32))
    elif data_folder() is not None:
        yield from known_pairs()


@torch.inference_mode()
def _network(update_loop: UpdateLoop, image1: Image, image2: Image) -> Flow:
    """(H, W, 2) px."""
    padding = Padding.for_size(*image1.shape[:2])
    earlier, later = (
        update_loop.model.encode(to_network_input(image, padding, update_loop.device)) for image in (image1, image2)
    )
    coarse = update_loop(earlier, later, None, FlowOptions(iterations=ITERATIONS, warm_start="never"))
    return padding.unpad(update_loop.model.upsample(coarse))[0].permute(1, 2, 0).cpu().numpy()


@torch.inference_mode()
def _ours(device: torch.device, image1: Image, image2: Image, flow_px: Flow) -> Flow:
    luma1, luma2 = (_luma(image, device) for image in (image1, image2))
    flow = torch.from_numpy(flow_px).to(device).permute(2, 0, 1)[None]
    return refine_on_images(luma1, luma2, flow)[0].permute(1, 2, 0).cpu().numpy()


def _luma(image: Image, device: torch.device) -> Tensor:
    return luma_of(to_network_input(image, Padding(0, 0, 0, 0), device))


def _opencv(image1: Image, image2: Image, flow_px: Flow, settings: dict[str, float]) -> Flow:
    refinement = cv2.VariationalRefinement.create()
    for name, value in settings.items():
        getattr(refinement, f"set{name}")(value)
    luma1, luma2 = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (image1, image2))
    return np.asarray(refinement.calc(luma1, luma2, flow_px.copy()))


def _errors(update_loop: UpdateLoop, pair: KnownPair, sides: dict[str, Side]) -> dict[str, float]:
    flow_px = _network(update_loop, pair.image1, pair.image2)
    refined = {name: side(pair.image1, pair.image2, flow_px) for name, side in sides.items()}
    return {name: round(pair.epe_px(one), 4) for name, one in {"network": flow_px, **refined}.items()}


def _times(update_loop: UpdateLoop, width: int, height: int, sides: dict[str, Side], repeats: int) -> dict[str, Any]:
    """From two uint8 images and flow in the host's memory to refined flow there."""
    (image1, image2), _ = consecutive_frames(width, height, 2)
    flow_px = _network(update_loop, image1, image2)
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats + 2):  # the first two compile kernels and fill caches
        for name, side in sides.items():
            begin = time.perf_counter()
            side(image1, image2, flow_px)
            taken[name].append(1e3 * (time.perf_counter() - begin))
    return {name: spread(times[2:], 1) for name, times in taken.items()}


def _show(result: dict[str, Any]) -> None:
    console = Console(width=130)
    console.print(f"{result['device']}, {result['machine']['gpu'] or result['machine']['cpu']}")
    errors = Table("EPE px", "network", "ours", "OpenCV", "OpenCV, thorough")
    for name, row in result["epe_px"].items():
        errors.add_row(name, *(f"{error:.3f}" for error in row.values()))
    console.print(errors)
    times = Table("ms, median (min - max)", "ours", "OpenCV", "OpenCV, thorough")
    for name, row in result["ms"].items():
        times.add_row(name, *(f"{one['median']:.1f} ({one['min']:.1f} - {one['max']:.1f})" for one in row.values()))
    console.print(times)


if __name__ == "__main__":
    main()
