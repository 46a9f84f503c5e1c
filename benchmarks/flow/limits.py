"""What the machine can do at most, and what RAFT needs of it: operations, bytes, and the time of each part."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from raftline.raft.correlation import LEVELS
from raftline.raft.model import CoarseFlow, Raft, UpdateState

_MATRIX = {"cpu": 2048, "cuda": 8192}
_COPY_BYTES = {"cpu": 1 << 28, "cuda": 1 << 32}
"""Sides of matrices and sizes of copies: large enough that the caches and the launches do not count. Chosen by hand."""


def seconds_of(run: Callable[[], object], device: torch.device, repeats: int) -> list[float]:
    """How long each of `repeats` runs took, the device synchronised; one before them is not counted."""
    taken = []
    for _ in range(repeats + 1):
        synchronise(device)
        begin = time.perf_counter()
        run()
        synchronise(device)
        taken.append(time.perf_counter() - begin)
    return taken[1:]


def synchronise(device: torch.device) -> None:
    """Wait for what was launched."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@torch.inference_mode()
def machine_rates(device: torch.device, dtypes: tuple[torch.dtype, ...], *, tiny: bool = False) -> dict[str, float]:
    """Measured: GFLOP/s of a large matrix product and of a 3x3 convolution of 256 to 256 channels, of random numbers in
    each type, and GB/s of a large copy (bytes read and written). `tiny`: only to see that all of it runs."""
    size, copied = (64, 1 << 16) if tiny else (_MATRIX[device.type], _COPY_BYTES[device.type])
    rows, columns = (4, 4) if tiny else (120, 160)
    rates = {}
    for dtype in dtypes:
        name = str(dtype).removeprefix("torch.")
        one, two = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        seconds = statistics.median(seconds_of(lambda one=one, two=two: one @ two, device, 7))
        rates[f"matmul_{name}_gflops"] = round(2 * size**3 / seconds / 1e9, 1)
        layer = torch.nn.Conv2d(256, 256, 3, padding=1, device=device, dtype=dtype).to(
            memory_format=torch.channels_last
        )  # type: ignore[call-overload]
        image = torch.randn(1, 256, rows, columns, device=device).to(dtype, memory_format=torch.channels_last)
        seconds = statistics.median(seconds_of(lambda layer=layer, image=image: layer(image), device, 7))
        rates[f"convolution_{name}_gflops"] = round(2 * 9 * 256**2 * rows * columns / seconds / 1e9, 1)
    source = torch.randint(0, 255, (copied,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    seconds = statistics.median(seconds_of(lambda: target.copy_(source), device, 7))
    rates["copy_gb_per_s"] = round(2 * source.numel() / seconds / 1e9, 1)
    return rates


def operations(architecture: Any, height: int, width: int, iterations: int) -> dict[str, float]:
    """GFLOP (a multiplication and an addition are two) of each part of one frame of a stream, counted by torch.

    The lookup on demand is counted by its definition: a dot product for each cell of each window.
    """
    model = Raft(architecture).eval()
    dims = model.dimensions
    cells = height * width // 64
    with torch.inference_mode(), torch.device("meta"):
        model = model.to_empty(device="meta")
        image = torch.empty(1, 3, height, width)
        counted = {"encoders": _count(lambda: model.encode(image))}
        encoded = model.encode(image)
        corr = torch.empty(1, LEVELS * (2 * dims.radius + 1) ** 2, height // 8, width // 8)
        flow = torch.empty(1, 2, height // 8, width // 8)
        gates = model.update_block.recurrent_block.prepare(encoded.context)
        update = _count(lambda: model.update_block(encoded.hidden, gates, corr, flow))
        counted["update"] = iterations * update
        if model.mask_predictor is not None:
            coarse = CoarseFlow(flow, encoded.hidden, encoded.guide, 1)
            counted["upsample"] = _count(lambda: model.upsampling_weights(coarse))
    windows = cells * LEVELS * (2 * dims.radius + 2) ** 2
    counted["lookup_on_demand"] = iterations * windows * 2 * dims.features / 1e9
    counted["all_pairs"] = 2 * dims.features * cells**2 * (1 + 1 / 4 + 1 / 16 + 1 / 64) / 1e9
    return {name: round(value, 2) for name, value in counted.items()}


@torch.inference_mode()
def part_milliseconds(model: Raft, height: int, width: int, repeats: int) -> dict[str, float]:
    """Medians of each part by itself, on random images; `lookup` and `update` are one iteration's."""
    device = next(model.parameters()).device
    images = [torch.rand(1, 3, height, width, device=device) * 2 - 1 for _ in range(2)]
    images = [image.contiguous(memory_format=torch.channels_last) for image in images]
    earlier, later = (model.encode(image) for image in images)
    correlation = model.correlate(earlier, later)
    terms, state = model.begin(earlier, correlation)
    # Flow as it is met in video: a few cells, different at each.
    wandered = UpdateState(state.hidden, state.coords + 2 * torch.randn_like(state.coords))
    coarse = CoarseFlow(wandered.coords - terms.origin, wandered.hidden, earlier.guide, 1)
    dtype = model.precision.update
    looked_up = correlation.lookup(wandered.coords).to(dtype)
    flow = coarse.flow.to(dtype)
    parts: dict[str, Callable[[], object]] = {
        "encoders": lambda: model.encode(images[0]),
        "correlation": lambda: model.begin(earlier, model.correlate(earlier, later)),
        "lookup": lambda: correlation.lookup(wandered.coords),
        "update": lambda: model.update_block(wandered.hidden, terms.gates, looked_up, flow),
        "upsample": lambda: model.upsample(coarse),
    }
    return {name: round(1e3 * statistics.median(seconds_of(run, device, repeats)), 3) for name, run in parts.items()}


def _count(run: Callable[[], object]) -> float:
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() / 1e9
