"""Every kernel against its plain twin on the smallest shapes, and the recorded update loop against its iterations.

    python -m benchmarks.gpu.smoke --json FILE [--keep DIR] [--device cpu]

torch, NumPy, safetensors and CuPy (on a CPU numba) are enough. The inputs of the first case that differs are saved as
DIR/smoke_failure.pt: `torch.load` gives the case's name and its tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks.gpu.arguments import parse
from benchmarks.gpu.case_file import CaseFile
from benchmarks.machine import machine
from raftline.flow.network import prepare
from raftline.flow.options import FlowOptions
from raftline.flow.variational import RULES
from raftline.kernels.bilinear_upsample import bilinear_upsample
from raftline.kernels.bilinear_upsample import reference as bilinear_reference
from raftline.kernels.choice import kernel_choice
from raftline.kernels.convex_upsample import convex_upsample
from raftline.kernels.convex_upsample import reference as convex_reference
from raftline.kernels.forward_splat import forward_splat
from raftline.kernels.forward_splat import reference as splat_reference
from raftline.kernels.lookup import lookup
from raftline.kernels.lookup import reference as lookup_reference
from raftline.kernels.lookup_on_demand import lookup_on_demand, room_for_windows
from raftline.kernels.lookup_on_demand.reference import lookup_on_demand as on_demand_reference
from raftline.kernels.variational_refinement import variational_refinement
from raftline.kernels.variational_refinement.reference import variational_refinement_reference
from raftline.raft.model import Raft
from tests.raftline.kernels.pyramids import coordinates, features, pyramid
from tests.raftline.kernels.upsampling import flow_and_mask

_SIZE = (2, 9, 13)
"""Images, and rows and columns of cells: more than a tile of the lookup on demand, and odd."""
_ROUNDED = {torch.float32: 2e-5, torch.float16: 4 * 2.0**-11, torch.bfloat16: 4 * 2.0**-8}
"""Sums in another order; half and bfloat16 round a result of up to 4."""
Tensors = dict[str, Any]
Side = Callable[[Tensors], Sequence[Tensor]]


class Case(NamedTuple):
    """A kernel and its twin."""

    name: str
    inputs: Tensors
    kernel: Side
    twin: Side
    allowed: float
    """Largest difference, of the numbers that come out."""


def main() -> None:
    arguments = parse(__doc__)
    device = torch.device(arguments.device)
    choice = kernel_choice(device)
    results = CaseFile(arguments.json, machine=machine(), kernels=choice.name, fallback=choice.fallback)
    for case in cases(device):
        results.run(case.name, lambda case=case: compared(case, arguments.keep))
    print(f"{len(results.content['cases'])} alike, {len(results.content['failed'])} failed")


def compared(case: Case, keep: Path) -> dict[str, float]:
    """Largest difference, and what is allowed.

    Raises:
        AssertionError: a greater one, or other shapes; whatever the kernel raises. The inputs are saved first.
    """
    try:
        found, expected = case.kernel(case.inputs), case.twin(case.inputs)
        worst = 0.0
        for one, other in zip(found, expected, strict=True):
            assert one.shape == other.shape, f"shape {tuple(one.shape)} instead of {tuple(other.shape)}"
            difference = (one.detach().float() - other.detach().float()).abs().max()
            assert torch.isfinite(difference), "not finite where the twin is, or the other way round"
            worst = max(worst, float(difference))
        assert worst <= case.allowed, f"differs by {worst:.3g}; allowed is {case.allowed:.3g}"
    except Exception:
        _save(case, keep)
        raise
    return {"largest_difference": worst, "allowed": case.allowed}


def _save(case: Case, keep: Path) -> None:
    path = keep / "smoke_failure.pt"
    if path.exists():
        return
    try:
        host = {k: [x.cpu() for x in v] if isinstance(v, list) else v.cpu() for k, v in case.inputs.items()}
        torch.save({"case": case.name, **host}, path)
        print(f"{case.name}: inputs saved as {path}")
    except RuntimeError as error:  # after a fault the GPU gives nothing back; inputs are made from a fixed seed
        print(f"{case.name}: its inputs cannot be read any more: {error}")


def cases(device: torch.device) -> Iterator[Case]:
    """The simplest first."""
    dtypes = (torch.float32, torch.float16, torch.bfloat16)
    for dtype in dtypes:
        for radius in (3, 4):
            yield _lookup(device, dtype, radius)
    yield _lookup_gradient(device)
    for dtype in dtypes if device.type == "cuda" else dtypes[:1]:
        for radius in (3, 4):
            yield _on_demand(device, dtype, radius)
    yield from _upsampling(device)
    yield _splat(device)
    yield _refinement(device)
    yield _update_loop(device)


def _lookup(device: torch.device, dtype: torch.dtype, radius: int) -> Case:
    levels = [level.to(device, dtype) for level in pyramid(*_SIZE)]
    return Case(
        f"lookup, {dtype}, radius {radius}".replace("torch.", ""),
        {"levels": levels, "coords": coordinates(*_SIZE).to(device)},
        lambda x: [lookup(x["levels"], x["coords"], radius, torch.float32)],
        lambda x: [lookup_reference.lookup([level.float() for level in x["levels"]], x["coords"], radius)],
        _ROUNDED[dtype] if device.type == "cpu" else _ROUNDED[torch.float32],
    )


def _lookup_gradient(device: torch.device) -> Case:
    def gradients(inputs: Tensors, look: Callable[..., Tensor]) -> list[Tensor]:
        leaves = [level.clone().requires_grad_() for level in inputs["levels"]]
        look(leaves, inputs["coords"], 4).backward(inputs["gradient"])
        return [leaf.grad for leaf in leaves if leaf.grad is not None]

    batch, height, width = _SIZE
    gradient = torch.randn(batch, 4 * 81, height, width, generator=torch.Generator().manual_seed(2)).to(device)
    levels = [level.to(device) for level in pyramid(*_SIZE)]
    return Case(
        "lookup_backward, float32, radius 4",
        {"levels": levels, "coords": coordinates(*_SIZE).to(device), "gradient": gradient},
        lambda x: gradients(x, lookup),
        lambda x: gradients(x, lookup_reference.lookup),
        _ROUNDED[torch.float32],
    )


def _on_demand(device: torch.device, dtype: torch.dtype, radius: int) -> Case:
    one, levels = features(_SIZE[0], 128, *_SIZE[1:])
    inputs = {
        "one": one.to(device, dtype),
        "levels": [level.to(device, dtype) for level in levels],
        "coords": coordinates(*_SIZE).to(device),
    }

    def kernel(x: Tensors) -> list[Tensor]:
        """Anew, then twice with windows kept from one to the next."""
        kept = room_for_windows(x["one"], 4, radius)
        anew = lookup_on_demand(x["one"], x["levels"], x["coords"], radius, torch.float32)
        moved = [x["coords"] + move for move in (0.0, 0.3)]
        return [anew, *(lookup_on_demand(x["one"], x["levels"], at, radius, torch.float32, kept) for at in moved)]

    def twin(x: Tensors) -> list[Tensor]:
        exact = [level.float() for level in x["levels"]]
        return [on_demand_reference(x["one"].float(), exact, x["coords"] + move, radius) for move in (0.0, 0.0, 0.3)]

    # As the GPU tests allow: sums of 128 products in another order, on tensor cores truncated.
    return Case(f"lookup_on_demand, {dtype}, radius {radius}".replace("torch.", ""), inputs, kernel, twin, 5e-5)


def _upsampling(device: torch.device) -> Iterator[Case]:
    flow, mask = (each.to(device) for each in flow_and_mask(*_SIZE))
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        yield Case(
            f"convex_upsample, {dtype} mask".replace("torch.", ""),
            {"flow": flow, "mask": mask.to(dtype)},
            lambda x: [convex_upsample(x["flow"], x["mask"])],
            lambda x: [convex_reference.convex_upsample(x["flow"], x["mask"].float())],
            1e-3,  # px, of flow up to 100 px
        )
    yield Case(
        "bilinear_upsample",
        {"flow": flow},
        lambda x: [bilinear_upsample(x["flow"])],
        lambda x: [bilinear_reference.bilinear_upsample(x["flow"])],
        1e-3,
    )


def _splat(device: torch.device) -> Case:
    generator = torch.Generator().manual_seed(3)
    flow = 3 * torch.randn(_SIZE[0], 2, *_SIZE[1:], generator=generator)
    error = torch.rand(_SIZE[0], 1, *_SIZE[1:], generator=generator)
    return Case(
        "forward_splat",
        {"flow": flow.to(device), "error": error.to(device)},
        lambda x: _flow_and_landed(forward_splat(x["flow"], x["error"])),
        lambda x: _flow_and_landed(splat_reference.forward_splat(x["flow"], x["error"])),
        1e-4,
    )


def _flow_and_landed(carried: splat_reference.Carried) -> list[Tensor]:
    return [carried.flow, carried.landed]


def _refinement(device: torch.device) -> Case:
    generator = torch.Generator().manual_seed(4)
    smooth = torch.nn.functional.avg_pool2d(torch.rand(2, 1, 78, 110, generator=generator) * 2000, 7, stride=1)
    inputs = {
        "luma1": (smooth[..., 1:71, 1:101] % 256).contiguous().to(device),
        "luma2": (smooth[..., :70, :100] % 256).contiguous().to(device),
        "flow_px": (1 + 0.2 * torch.randn(2, 2, 70, 100, generator=generator)).to(device),
    }
    return Case(
        "variational_refinement",
        inputs,
        lambda x: [variational_refinement(x["luma1"], x["luma2"], x["flow_px"], RULES)],
        lambda x: [variational_refinement_reference(x["luma1"], x["luma2"], x["flow_px"], RULES)],
        0.05,  # px, the worst pixel: where little holds the flow, a rounding of its weight counts
    )


def _update_loop(device: torch.device) -> Case:
    torch.manual_seed(0)
    model = Raft("small").eval().requires_grad_(False).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(5)) * 2 - 1
    options = FlowOptions(iterations=3, warm_start="never", region_matching=False)

    @torch.inference_mode()
    def recorded(x: Tensors) -> list[Tensor]:
        loop = prepare(model, options)
        first, second = (model.encode(image[None]) for image in x["images"])
        flows = [loop(first, second, None, options).flow.clone() for _ in range(2)]
        return [*flows, loop(second, first, None, options).flow]

    @torch.inference_mode()
    def iterated(x: Tensors) -> list[Tensor]:
        first, second = (model.encode(image[None]) for image in x["images"])
        there, back = ([c.flow for c in model.iterate(*pair, 3)][-1] for pair in ((first, second), (second, first)))
        return [there, there, back]

    return Case("update_loop, recorded", {"images": images.to(device)}, recorded, iterated, 1e-2)


if __name__ == "__main__":
    main()
