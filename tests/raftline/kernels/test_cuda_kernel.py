"""What reaches CuPy: the source in one piece, the arguments as the kernel's parameters, torch's stream, the device."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from raftline.kernels import cuda_kernel
from raftline.kernels.cuda_kernel import CudaKernel, source
from tests.raftline.kernels.compilation import files
from tests.raftline.kernels.kernel_on_cpu import KernelFailed, KernelOnCpu


class Entered:
    """A context manager that says in a list when it is inside."""

    def __init__(self, name: tuple[Any, ...], inside: list[tuple[Any, ...]]) -> None:
        self.name = name
        self.inside = inside

    def __enter__(self) -> None:
        self.inside.append(self.name)

    def __exit__(self, *_: object) -> None:
        self.inside.remove(self.name)


class RecordingCupy:
    """The part of CuPy that a launch uses; writes down what was compiled and what was launched, where."""

    def __init__(self) -> None:
        self.inside: list[tuple[Any, ...]] = []
        self.compiled: list[tuple[Any, ...]] = []
        self.launched: list[tuple[Any, ...]] = []
        self.cuda = SimpleNamespace(
            ExternalStream=lambda pointer, device: Entered(("stream", pointer, device), self.inside),
            Device=lambda index: Entered(("device", index), self.inside),
        )

    def RawModule(self, code: str, options: tuple[str, ...]) -> Any:
        self.compiled.append((code, options, list(self.inside)))
        return SimpleNamespace(get_function=self._function)

    def _function(self, name: str) -> Any:
        return lambda *call: self.launched.append((name, call, list(self.inside)))


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordingCupy]:
    fake = RecordingCupy()
    monkeypatch.setitem(sys.modules, "cupy", fake)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda index: SimpleNamespace(cuda_stream=1000 + index))
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 5)
    cuda_kernel._function.cache_clear()
    yield fake
    cuda_kernel._function.cache_clear()


LOOKUP = CudaKernel("lookup/lookup.cu", "lookup")


def test_arguments_become_addresses_null_pointers_and_numbers(cupy: RecordingCupy) -> None:
    tensor = torch.zeros(3)
    LOOKUP.launch(torch.device("cuda", 1), 7, 256, (tensor, None, np.int64(2**40), np.int32(-3)), ELEMENT=16)
    ((name, (grid, block, arguments), inside),) = cupy.launched
    assert (name, grid, block) == ("lookup", (7,), (256,))
    assert arguments == (tensor.data_ptr(), 0, 2**40, -3)
    assert [type(argument) for argument in arguments] == [np.uint64, np.uint64, np.int64, np.int32]
    assert inside == [("device", 1), ("stream", 1001, 1)]


def test_a_kernel_is_compiled_once_per_device_and_variant(cupy: RecordingCupy) -> None:
    for device in ("cuda:0", "cuda:1", "cuda:0", "cuda:1"):
        for element in (32, 16):
            LOOKUP.launch(torch.device(device), 1, 32, (), RADIUS=4, ELEMENT=element)
    assert len(cupy.launched) == 8
    assert [(options[1:], inside[0]) for _, options, inside in cupy.compiled] == [
        (("-DELEMENT=32", "-DRADIUS=4"), ("device", 0)),
        (("-DELEMENT=16", "-DRADIUS=4"), ("device", 0)),
        (("-DELEMENT=32", "-DRADIUS=4"), ("device", 1)),
        (("-DELEMENT=16", "-DRADIUS=4"), ("device", 1)),
    ]


def test_a_device_without_a_number_is_torchs_current_one(cupy: RecordingCupy) -> None:
    LOOKUP.launch(torch.device("cuda"), 1, 32, ())
    assert cupy.launched[0][2] == [("device", 5), ("stream", 1005, 5)]


@pytest.mark.parametrize("file", files())
def test_a_source_is_one_text_without_includes_of_ours(file: str) -> None:
    assert '#include "' not in source(file)
    assert 'extern "C" __global__' in source(file)


BROKEN = """
extern "C" __global__ void lookup(int* numbers, int count) {
    __shared__ int sum;
    if (threadIdx.x == 0) sum = 0;
    BARRIER
    atomicAdd(&sum, numbers[threadIdx.x]);
    __syncthreads();
    if (threadIdx.x == 0) numbers[0] = sum / count;
}
"""


@pytest.mark.parametrize(
    ("barrier", "numbers", "arguments", "message"),
    [
        ("__syncthreads();", 63, (np.int32(64),), "heap-buffer-overflow"),
        ("__syncthreads();", 64, (np.int32(0),), "division by zero"),
        ("if (threadIdx.x < 32) __syncthreads();", 64, (np.int32(64),), "a barrier that not all threads reach"),
        ("__syncthreads();", 64, (np.int64(64),), "an argument of another type than its parameter"),
        ("__syncthreads();", 64, (np.int32(64), np.int32(0)), "more arguments than the kernel has parameters"),
        ("__syncthreads();", 64, (), "the call's file is too short"),
    ],
)
def test_on_the_cpu_a_kernels_mistakes_are_caught(
    barrier: str, numbers: int, arguments: tuple[np.generic, ...], message: str, tmp_path: Any
) -> None:
    kernel = KernelOnCpu(LOOKUP, tmp_path, BROKEN.replace("BARRIER", barrier))
    with pytest.raises(KernelFailed, match=message):
        kernel.launch(1, 64, (torch.ones(numbers, dtype=torch.int32), *arguments))
