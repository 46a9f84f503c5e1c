"""The measurements of `bench_flow`, one function each. All give plain values for JSON."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from benchmarks.flow.clips import consecutive_frames, known_pairs
from benchmarks.flow.limits import seconds_of
from benchmarks.flow.peers import PairFlow, has_torchvision, lookup_by_grid_sample, lookup_by_localcorr
from benchmarks.machine import spread
from raftline.flow.options import FlowOptions
from raftline.flow.session import FlowSession
from raftline.flow.update_loop import UpdateLoop
from raftline.flow.warm_start import choose_start
from raftline.kernels.forward_splat import forward_splat
from raftline.raft.correlation import AllPairsCorrelation, OnDemandCorrelation
from raftline.raft.model import Raft
from raftline.raft.padding import Padding
from raftline.raft.preprocess import to_network_input


def speed(
    streams: dict[str, tuple[UpdateLoop, FlowOptions]],
    pairs: dict[str, PairFlow],
    size: tuple[int, int],
    frames: int,
) -> dict[str, Any]:
    """Time of a frame, from uint8 RGB to full-resolution flow in the host's memory, each way in turn at each frame; by
    the clock, and of all threads.

    The first frame of a stream and the first pair of each way are not counted.
    """
    frames_rgb, clip = consecutive_frames(*size, frames + 2)
    sessions = {name: FlowSession(update_loop, options) for name, (update_loop, options) in streams.items()}
    for session in sessions.values():
        session(frames_rgb[0])
    ways: dict[str, Callable[[Any, Any], object]] = {
        **{name: lambda _, later, session=session: session(later) for name, session in sessions.items()},
        **pairs,
    }
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    for number, (earlier, later) in enumerate(itertools.pairwise(frames_rgb)):
        for name, way in ways.items():
            begin, begin_cpu = time.perf_counter(), time.process_time()
            way(earlier, later)
            if number:
                wall[name].append(1e3 * (time.perf_counter() - begin))
                cpu[name].append(1e3 * (time.process_time() - begin_cpu))
    return {
        "clip": clip,
        "size": f"{size[0]}x{size[1]}",
        "ms_per_frame": {name: spread(taken, 1) for name, taken in wall.items()},
        "cpu_ms_per_frame": {name: spread(taken, 1) for name, taken in cpu.items()},
        "times_faster": _ratios(wall, pairs, streams),
        "times_less_cpu": _ratios(cpu, pairs, streams),
        "status": {name: vars(session.status) for name, session in sessions.items()},
    }


def _ratios(taken: dict[str, list[float]], peers: Iterable[str], ours: Iterable[str]) -> dict[str, Any]:
    """Of each peer's times and each of ours, frame by frame."""
    return {
        f"{peer} / {name}": spread([p / o for p, o in zip(taken[peer], taken[name], strict=True)])
        for peer in peers
        for name in list(ours)
    }


@torch.inference_mode()
def end_point_errors(model: Raft, reference: PairFlow | None, iterations: int) -> dict[str, Any]:
    """EPE of every iteration on all ground truth, and of a peer at `iterations`."""
    device = next(model.parameters()).device
    curve: dict[str, list[float]] = {}
    peer: dict[str, float] = {}
    for pair in known_pairs():
        padding = Padding.for_size(*pair.image1.shape[:2])
        encoded = [model.encode(to_network_input(i, padding, device)) for i in (pair.image1, pair.image2)]
        flows = (
            padding.unpad(model.upsample(coarse))[0].permute(1, 2, 0).float().cpu().numpy()
            for coarse in model.iterate(encoded[0], encoded[1], iterations)
        )
        curve[pair.name] = [round(pair.epe_px(flow), 4) for flow in flows]
        if reference is not None:
            peer[pair.name] = round(pair.epe_px(reference(pair.image1, pair.image2)), 4)
    means = [round(statistics.mean(column), 4) for column in zip(*curve.values(), strict=True)]
    return {"precision": model.precision.name, "epe_px": curve, "mean_epe_px": means, "peer_epe_px": peer}


def stream_errors(update_loop: UpdateLoop, options: FlowOptions, peer: PairFlow) -> dict[str, dict[str, Any]]:
    """Of each pair of the ground truth: EPE of a stream's second frame, with as many updates as later ones, and of a
    peer."""
    options = replace(options, cold_iterations=options.iterations, duplicates=None)
    found = {}
    for pair in known_pairs():
        session = FlowSession(update_loop, options)
        session(pair.image1)
        result = session(pair.image2)
        assert result is not None and result.flow_px is not None
        found[pair.name] = {
            "epe_px": round(pair.epe_px(result.flow_px), 4),
            "peer_epe_px": round(pair.epe_px(peer(pair.image1, pair.image2)), 4),
            "at_half_size": result.scaled_down,
        }
    return found


def confidences(update_loop: UpdateLoop, iterations: int) -> dict[str, dict[str, float]]:
    """Of each pair of the ground truth: EPE where confidence is 0.5 or more, below it, and how much is below."""
    found = {}
    options = FlowOptions(iterations=iterations, warm_start="never", duplicates=None, scene_cut=None)
    for pair in known_pairs():
        session = FlowSession(update_loop, options)
        session(pair.image1)
        result = session(pair.image2, confidence=True)
        assert result is not None and result.flow_px is not None and result.confidence is not None
        height, width = pair.truth_px.shape[:2]
        fine = np.kron(result.confidence, np.ones((8, 8)))[result.padding.top :, result.padding.left :]
        error_px = np.linalg.norm(result.flow_px - pair.truth_px, axis=2)
        known = np.isfinite(error_px)
        trusted = fine[:height, :width] >= 0.5
        found[pair.name] = {
            "epe_px_from_0.5": round(float(error_px[known & trusted].mean()), 2),
            "epe_px_below": round(float(error_px[known & ~trusted].mean()), 2),
            "share_below": round(float((~trusted)[known].mean()), 3),
        }
    return found


def fewest_iterations(errors: dict[str, Any], within_px: float = 0.02) -> int:
    """The fewest at which no scene's EPE is more than `within_px` above the peer's at its number of iterations."""
    curves, peer = errors["epe_px"], errors["peer_epe_px"]
    counts = range(1, len(errors["mean_epe_px"]) + 1)
    kept = (n for n in counts if all(curve[n - 1] <= peer[scene] + within_px for scene, curve in curves.items()))
    return next(kept, counts[-1])


@torch.inference_mode()
def lookups(model: Raft, size: tuple[int, int], repeats: int, all_pairs: bool = True) -> dict[str, Any]:
    """One lookup of all levels: ours from the volume and on demand, and torchvision's, by `grid_sample`."""
    device, dtype = next(model.parameters()).device, model.precision.correlation
    height, width = size[1] // 8, size[0] // 8
    radius, channels = model.dimensions.radius, model.dimensions.features
    features = [torch.randn(1, channels, height, width, device=device) for _ in range(2)]
    one, two = (f.to(dtype).contiguous(memory_format=torch.channels_last) for f in features)
    coords = itertools.cycle(_wandering_coordinates(height, width, device))
    ways: dict[str, Callable[[], object]] = {}
    on_demand = OnDemandCorrelation(one, two, radius)
    ways["on demand"] = lambda: on_demand.lookup(next(coords))
    if all_pairs:
        volume = AllPairsCorrelation(one, two, radius)
        ways["all pairs"] = lambda: volume.lookup(next(coords))
        if has_torchvision():
            peer = lookup_by_grid_sample(features[0], features[1], radius)
            ways["grid_sample"] = lambda: peer(next(coords))
    other = lookup_by_localcorr(one, two, radius)
    if callable(other):
        ways["localcorr"] = lambda: other(next(coords))
    taken = {name: seconds_of(way, device, repeats) for name, way in ways.items()}
    cells = height * width * 4
    moved = cells * ((2 * radius + 2) ** 2 + (2 * radius + 1) ** 2) * dtype.itemsize
    result: dict[str, Any] = {"size": f"{size[0]}x{size[1]}", "radius": radius, "channels": channels}
    result["ms"] = {name: spread([1e3 * s for s in seconds], 3) for name, seconds in taken.items()}
    if not callable(other):
        result["left_out"] = other
    if all_pairs:
        fastest = statistics.median(taken["all pairs"])
        result["all_pairs_gb_per_s"] = round(moved / fastest / 1e9, 1)
        if "grid_sample" in taken:
            result["times_faster_than_grid_sample"] = round(statistics.median(taken["grid_sample"]) / fastest, 2)
    return result


def _wandering_coordinates(height: int, width: int, device: torch.device) -> list[torch.Tensor]:
    """(1, 2, H, W) each: smooth flow of some cells that changes by a third of a cell from one to the next, as the
    iterations of a pair change it."""
    y, x = torch.meshgrid(torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij")
    flow = torch.stack([3 * torch.sin(y / 7) + 2, 2 * torch.cos(x / 9)])[None] + torch.stack([x, y])[None]
    made = [flow]
    for _ in range(7):
        made.append((made[-1] + 0.33 * torch.randn_like(flow)).contiguous())
    return made


@torch.inference_mode()
def warm_start(device: torch.device, size: tuple[int, int], repeats: int) -> dict[str, Any]:
    """A warm start by itself: the last flow carried forward, by us and through SciPy on the host as the authors'
    `forward_interpolate`; and the whole adaptive start."""
    from scipy.interpolate import griddata

    height, width = size[1] // 8, size[0] // 8
    y, x = np.mgrid[:height, :width].astype(np.float32)
    flow = np.stack([2 * np.sin(y / 9) + 1, np.cos(x / 11)])[None].astype(np.float32)
    on_device = torch.from_numpy(flow).to(device)

    def through_scipy() -> torch.Tensor:
        host = on_device.cpu().numpy()[0]
        points = np.stack([x + host[0], y + host[1]], axis=-1).reshape(-1, 2)
        inside = ((points > 0) & (points < (width, height))).all(axis=1)
        carried = [griddata(points[inside], c.ravel()[inside], (x, y), method="nearest") for c in host]
        return torch.from_numpy(np.stack(carried)).to(device)

    wide = torch.nn.functional.avg_pool2d(torch.randn(1, 128, height + 12, width + 12, device=device), 5, stride=1)
    one, two = (wide[..., k : k + height, k : k + width].contiguous(memory_format=torch.channels_last) for k in (0, 3))
    taken = {
        "carried": seconds_of(lambda: forward_splat(on_device), device, repeats),
        "adaptive": seconds_of(lambda: choose_start(one, two, 4, on_device), device, repeats),
        "carried by scipy": seconds_of(through_scipy, device, max(3, repeats // 4)),
    }
    return {"size": f"{size[0]}x{size[1]}", **{name: spread([1e3 * s for s in v], 3) for name, v in taken.items()}}
