"""What carrying the flow forward and bringing it to full resolution cost, beside the same in plain torch.

    python -m benchmarks.bench_carry_and_upsample [--device cuda] [--threads 2] [--repeats 20] [--json FILE] [--tiny]

Both sides run in turn, in one process, on the same tensors. Carrying is also compared with the nearest-neighbour
interpolation on the host that the authors' warm start uses (SciPy, as their core/utils/utils.py). Upsampling counts up
to the (H, W, 2) array on the device. The bytes are those that must move at the least; the bandwidth they are held
against is that of a copy on the same device.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from scipy import interpolate
from torch import Tensor

from benchmarks.machine import machine, spread
from raftline.kernels.bilinear_upsample import bilinear_upsample
from raftline.kernels.bilinear_upsample import reference as bilinear_reference
from raftline.kernels.convex_upsample import convex_upsample
from raftline.kernels.convex_upsample import reference as convex_reference
from raftline.kernels.forward_splat import forward_splat
from raftline.kernels.forward_splat import reference as splat_reference

GRIDS = {"1080p": (135, 240), "2160p": (270, 480)}
Side = Callable[[], Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch, on the CPU")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--tiny", action="store_true", help="the smallest sizes: shows that every line runs, no more")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    result: dict[str, Any] = {"machine": machine(), "device": arguments.device, "threads": arguments.threads}
    with torch.inference_mode():
        repeats = 1 if arguments.tiny else arguments.repeats
        result["copy_gb_per_s"] = round(_copy_bandwidth(device, repeats, 2**12 if arguments.tiny else 2**26) / 1e9, 1)
        result["cases"] = {
            f"{name}, {size}": _compare(sides, least_bytes, device, repeats, result["copy_gb_per_s"])
            for size, grid in ({"tiny": (12, 16)} if arguments.tiny else GRIDS).items()
            for name, (least_bytes, sides) in _cases(*grid, device).items()
        }
    _show(result)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


def _cases(height: int, width: int, device: torch.device) -> dict[str, tuple[int, dict[str, Side]]]:
    """Name -> the least bytes that must move, and the sides: ours first."""
    generator = torch.Generator().manual_seed(0)
    coarse = 6 * torch.randn(1, 2, 9, 16, generator=generator)
    flow = F.interpolate(coarse, size=(height, width), mode="bilinear").to(device)
    flow = flow.contiguous(memory_format=torch.channels_last)
    mask = torch.randn(1, 576, height, width, generator=generator).to(device)
    half = mask.to(torch.float16 if device.type == "cuda" else torch.bfloat16)
    masks = {str(one.dtype).removeprefix("torch."): one for one in (mask, half)}
    cells = height * width
    cases: dict[str, tuple[int, dict[str, Side]]] = {
        "forward_splat": (
            2 * 8 * cells,
            {
                "ours": lambda: forward_splat(flow),
                "plain torch": lambda: splat_reference.forward_splat(flow),
                "SciPy on the host": lambda: _nearest_on_the_host(flow),
            },
        ),
        "bilinear_upsample": (
            (8 + 64 * 8) * cells,
            {
                "ours": lambda: _image(bilinear_upsample(flow)),
                "plain torch": lambda: _image(bilinear_reference.bilinear_upsample(flow)),
            },
        ),
    }
    for name, one in masks.items():
        last = one.contiguous(memory_format=torch.channels_last)
        cases[f"convex_upsample, {name} mask"] = (
            (8 + 64 * 8 + 576 * one.element_size()) * cells,
            {
                "ours": lambda last=last: _image(convex_upsample(flow, last)),
                "plain torch": lambda one=one: _image(convex_reference.convex_upsample(flow, one)),
            },
        )
    return cases


def _image(flow: Tensor) -> Tensor:
    return flow[0].permute(1, 2, 0).contiguous()


def _nearest_on_the_host(flow: Tensor) -> Tensor:
    u, v = flow[0].cpu().numpy()
    height, width = u.shape
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    at_x, at_y = (x + u).ravel(), (y + v).ravel()
    inside = (at_x > 0) & (at_x < width) & (at_y > 0) & (at_y < height)
    points = (at_x[inside], at_y[inside])
    carried = [interpolate.griddata(points, one.ravel()[inside], (x, y), method="nearest") for one in (u, v)]
    return torch.from_numpy(np.stack(carried)).to(flow)[None]


def _compare(
    sides: dict[str, Side], least_bytes: int, device: torch.device, repeats: int, copy_gb_per_s: float
) -> dict[str, Any]:
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats + 2):  # the first two compile kernels and fill caches
        for name, side in sides.items():
            times[name].append(_milliseconds(side, device))
    found: dict[str, Any] = {name: spread(values[2:], 4) for name, values in times.items()}
    seconds = found["ours"]["median"] / 1e3
    found["share_of_copy_bandwidth"] = round(least_bytes / seconds / (copy_gb_per_s * 1e9), 3)
    return found


def _milliseconds(side: Side, device: torch.device) -> float:
    """On a GPU the time between two events around ten calls, so that the host's part is hidden as it is in a stream."""
    if device.type != "cuda":
        begin = time.perf_counter()
        side()
        return (time.perf_counter() - begin) * 1e3
    before, after = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize(device)
    before.record()
    for _ in range(10):
        side()
    after.record()
    torch.cuda.synchronize(device)
    return before.elapsed_time(after) / 10


def _copy_bandwidth(device: torch.device, repeats: int, numbers: int) -> float:
    """Bytes read and written per second by a copy of so many float32 (256 MB, but for a trial)."""
    source = torch.ones(numbers, device=device)
    target = torch.empty_like(source)
    best = min(_milliseconds(lambda: target.copy_(source), device) for _ in range(repeats))
    return 2 * source.nbytes / (best / 1e3)


def _show(result: dict[str, Any]) -> None:
    table = Table("", "side", "ms, median", "min - max", "times ours", "of a copy's bandwidth")
    for name, case in result["cases"].items():
        share = f"{case['share_of_copy_bandwidth']:.0%}"
        for side, found in case.items():
            if isinstance(found, dict):
                ratio, ours = found["median"] / case["ours"]["median"], side == "ours"
                spans = f"{found['min']:.3f} - {found['max']:.3f}"
                label, share = (name, share) if ours else ("", "")
                table.add_row(label, side, f"{found['median']:.3f}", spans, f"{ratio:.1f}", share)
    console = Console(width=130)
    console.print(f"{result['device']}, {result['machine']['gpu'] or result['machine']['cpu']}")
    console.print(f"copy: {result['copy_gb_per_s']} GB/s read and written")
    console.print(table)


if __name__ == "__main__":
    main()
