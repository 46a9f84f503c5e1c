"""What the CUDA wrappers hand to CuPy: arguments, shape of the launch, memory held; whether it can be captured."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from raftline.flow.options import FlowOptions
from raftline.flow.update_loop import UpdateLoop
from raftline.flow.variational import RULES
from raftline.kernels import cuda_kernel
from raftline.kernels.bilinear_upsample.cuda import bilinear_upsample_cuda
from raftline.kernels.choice import KernelChoice
from raftline.kernels.convex_upsample.cuda import convex_upsample_cuda
from raftline.kernels.crop import Crop
from raftline.kernels.cuda_kernel import CudaKernel
from raftline.kernels.forward_splat.cuda import forward_splat_cuda
from raftline.kernels.lookup.backward_cuda import lookup_backward_cuda
from raftline.kernels.lookup.cuda import lookup_cuda
from raftline.kernels.lookup_on_demand.cuda import KeptOnCuda, lookup_on_demand_cuda
from raftline.kernels.variational_refinement.cuda import variational_refinement_cuda
from raftline.raft.model import Raft
from tests.raftline.kernels.pyramids import coordinates, features, pyramid
from tests.raftline.kernels.strict_capture import CaptureRefused, StrictCapture
from tests.raftline.kernels.strict_cupy import Refused, StrictCupy, parameters
from tests.raftline.kernels.upsampling import flow_and_mask

SIZE = (2, 9, 13)
CPU = torch.device("cpu")


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Iterator[StrictCupy]:
    strict = StrictCupy()
    monkeypatch.setitem(sys.modules, "cupy", strict)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda index: SimpleNamespace(cuda_stream=1000 + index))
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    cuda_kernel._function.cache_clear()
    yield strict
    cuda_kernel._function.cache_clear()


def look(dtype: torch.dtype, radius: int, turned: bool = False) -> None:
    coords = coordinates(*SIZE)
    coords = coords.contiguous(memory_format=torch.channels_last) if turned else coords
    lookup_cuda([level.to(dtype) for level in pyramid(*SIZE)[: radius - 1]], coords, radius, torch.float32)


def look_back() -> None:
    gradient = torch.ones(SIZE[0], 4 * 49, *SIZE[1:], dtype=torch.float16)
    lookup_backward_cuda(gradient, coordinates(*SIZE), 3, pyramid(*SIZE))


def on_demand(dtype: torch.dtype, keep: bool) -> None:
    one, levels = features(SIZE[0], 128, *SIZE[1:])
    kept = KeptOnCuda.none_yet(CPU, SIZE[0] * SIZE[1] * SIZE[2], 4, 4) if keep else None
    levels = [level.to(dtype) for level in levels]
    lookup_on_demand_cuda(one.to(dtype), levels, coordinates(*SIZE), 4, torch.float16, kept)


def upsample(dtype: torch.dtype) -> None:
    flow, mask = flow_and_mask(*SIZE)
    crop = Crop(3, 1, 60, 90)
    convex_upsample_cuda(flow, mask.to(dtype), crop, torch.float16)
    bilinear_upsample_cuda(flow, crop, dtype if dtype is torch.float16 else torch.float32)


def splat() -> None:
    flow = torch.randn(SIZE[0], 2, *SIZE[1:])
    forward_splat_cuda(flow, None, None)
    forward_splat_cuda(flow, torch.rand(SIZE[0], 1, *SIZE[1:]), flow.half())


def refine() -> None:
    variational_refinement_cuda(torch.rand(2, 1, 50, 70), torch.rand(2, 1, 50, 70), torch.rand(2, 2, 50, 70), RULES)


CALLS: dict[str, Callable[[], None]] = {
    "lookup, float32": lambda: look(torch.float32, 3),
    "lookup, bfloat16, turned": lambda: look(torch.bfloat16, 4, turned=True),
    "lookup_backward": look_back,
    "lookup_on_demand": lambda: on_demand(torch.float32, keep=False),
    "lookup_on_demand, half, kept": lambda: on_demand(torch.float16, keep=True),
    "upsampling, float32": lambda: upsample(torch.float32),
    "upsampling, half": lambda: upsample(torch.float16),
    "forward_splat": splat,
    "variational_refinement": refine,
}


@pytest.mark.parametrize("name", CALLS)
def test_every_launch_is_one_that_a_gpu_takes(name: str, cupy: StrictCupy) -> None:
    CALLS[name]()
    assert cupy.launched


HELD = torch.zeros(4, 2)
ADD = 'extern "C" __global__ void __launch_bounds__(256) add(const float2* at, int count, long long stride) {}'


@pytest.mark.parametrize(
    ("blocks", "threads", "arguments", "message"),
    [
        (1, 64, (HELD, np.int64(4), np.int64(2)), "count: int is int32, found int64"),
        (1, 64, (HELD, np.int32(4), 2), "stride: long long is int64, found int"),
        (1, 64, (HELD, np.int32(4)), "3 parameters, 2 arguments"),
        (1, 64, (HELD.view(-1)[1:], np.int32(4), np.int64(2)), "at: .* not aligned"),
        (0, 64, (HELD, np.int32(4), np.int64(2)), "0 blocks, allowed are 1 to"),
        (2**31, 64, (HELD, np.int32(4), np.int64(2)), "2147483648 blocks"),
        (1, 2048, (HELD, np.int32(4), np.int64(2)), "2048 threads, allowed are"),
        (1, 64, (np.uint64(4096), np.int32(4), np.int64(2)), "at: nothing holds the memory at 4096"),
    ],
)
def test_a_wrong_launch_is_refused(
    blocks: int, threads: int, arguments: Any, message: str, cupy: StrictCupy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_kernel, "source", lambda _: ADD)
    with pytest.raises(Refused, match=message):
        CudaKernel("add.cu", "add").launch(CPU, blocks, threads, arguments)


def test_too_much_shared_memory_and_a_stream_of_its_own_are_refused(
    cupy: StrictCupy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_kernel, "source", lambda _: 'extern "C" __global__ void add(int count) {}')
    with pytest.raises(Refused, match="not on torch's stream"):
        cupy.RawModule(cuda_kernel.source("add.cu"), ()).get_function("add")((1,), (32,), (np.int32(1),))
    uses = SimpleNamespace(shared_bytes=50_000, registers=32)
    monkeypatch.setattr("tests.raftline.kernels.strict_cupy._resources", lambda *_: uses)
    with pytest.raises(Refused, match="50000 bytes of shared memory, allowed are 49152"):
        CudaKernel("add.cu", "add").launch(CPU, 1, 32, (np.int32(1),))


def test_a_signature_is_read_as_it_is_declared() -> None:
    found = parameters(cuda_kernel.source("lookup/lookup.cu"), "lookup")
    assert [(one.name, one.type) for one in (found[0], found[4], found[5], found[6], found[14])] == [
        ("level0", "element::stored*"),
        ("coords", "float*"),
        ("out", "void*"),
        ("height0", "int"),
        ("image_stride", "long long"),
    ]
    assert len(found) == 21


@pytest.mark.parametrize(("correlation", "both_ways"), [("all-pairs", False), ("on-demand", True)])
def test_the_update_loop_can_be_captured(
    correlation: Any, both_ways: bool, cupy: StrictCupy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("forward_splat", "lookup", "lookup_on_demand", "region_evidence", "similarity_at"):
        monkeypatch.setattr(f"raftline.kernels.{name}.wrapper.kernel_choice", lambda _: KernelChoice("cupy", None))
    monkeypatch.setattr("raftline.flow.region_matching.values_are_at_hand", lambda _: False)
    monkeypatch.setattr(StrictCapture, "cupy", cupy)
    torch.manual_seed(0)
    model = Raft("small").eval().requires_grad_(False)
    options = FlowOptions(iterations=2, correlation=correlation)
    loop = UpdateLoop(model, StrictCapture)
    with torch.inference_mode():
        one, two = (model.encode(torch.rand(1, 3, 64, 72)) for _ in range(2))
        loop(one, two, None, options, both_ways=both_ways)
        loop(one, two, torch.zeros(1, 2, 8, 9), options, both_ways=both_ways)
    assert {"lookup" if correlation == "all-pairs" else "lookup_on_demand", "forward_splat_land"} <= set(cupy.launched)


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x * float(x.sum()),
        lambda x: x[x > 0],
        lambda x: x + torch.tensor([1.0]),
        lambda x: x if (x > 0).any() else -x,
        lambda x: (torch.cuda.synchronize(), x)[1],
    ],
)
def test_what_a_capture_refuses_is_refused(wait: Callable[[Tensor], Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    with pytest.raises(CaptureRefused):
        StrictCapture()(wait, [torch.ones(3)])
