"""The part of CuPy that a launch uses, which refuses what a GPU would refuse or, worse, would take."""

from __future__ import annotations

import functools
import gc
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from torch import Tensor

from tests.raftline.kernels.compilation import Resources, compile_variant

ARCHITECTURE = 90
"""An H100's or H200's, for which the compiler's report is read."""
MOST_BLOCKS, MOST_THREADS, WARP = 2**31 - 1, 1024, 32
MOST_SHARED_BYTES, REGISTERS = 48 * 1024, 65536
"""Of one block without an opt-in; of one multiprocessor. CUDA's programming guide, compute capabilities 7.5 to 10.0."""

_NUMBERS = {
    "int": np.int32,
    "long long": np.int64,
    "unsigned int": np.uint32,
    "unsigned long long": np.uint64,
    "float": np.float32,
    "double": np.float64,
}
_ALIGNED = {"float2": 8, "FlowPair": 8, "unsigned long long": 8, "float4": 16, "uint4": 16, "float": 4, "int": 4}
"""Bytes that an address of such a type must be a multiple of."""


class Refused(AssertionError):
    """A launch that no GPU should get."""


@dataclass(frozen=True)
class Parameter:
    """One of a kernel's."""

    name: str
    type: str
    """Without const and __restrict__, such as "float*" or "int"."""

    def check(self, argument: Any, held: list[tuple[int, int]]) -> None:
        """Raises Refused for another type, an address that is not aligned, or memory that nothing holds."""
        if not self.type.endswith("*"):
            wanted = _NUMBERS[self.type]
            if type(argument) is not wanted:
                raise Refused(f"{self.name}: {self.type} is {wanted.__name__}, found {type(argument).__name__}")
            return
        if type(argument) is not np.uint64:
            raise Refused(f"{self.name}: an address is uint64, found {type(argument).__name__}")
        if argument % _ALIGNED.get(self.type[:-1], 1) != 0:
            raise Refused(f"{self.name}: {self.type} at {argument}, which is not aligned")
        if argument != 0 and not any(begin <= argument < end for begin, end in held):
            raise Refused(f"{self.name}: nothing holds the memory at {argument} any more")


def parameters(text: str, name: str) -> list[Parameter]:
    """Those of the `extern "C"` function of this name."""
    found = re.search(
        rf'extern "C" __global__ void (?:__launch_bounds__\(.*?\) )?{name}\((.*?)\)\s*\{{', text, re.DOTALL
    )
    if found is None:
        raise Refused(f"{name}: no such function in the source")
    declared = [re.sub(r"\b(const|__restrict__)\b", " ", one).split() for one in found[1].split(",")]
    return [Parameter(words[-1], " ".join(words[:-1]).replace(" *", "*")) for words in declared]


class StrictCupy:
    """Stands in for the module `cupy`. `launched` has the names of what came through."""

    def __init__(self) -> None:
        self.launched: list[str] = []
        self.capturing = False
        """Whether a graph is being captured: nothing may be compiled then."""
        self._inside: list[str] = []
        self.cuda = SimpleNamespace(
            ExternalStream=lambda pointer, device: self._within("stream"), Device=lambda index: self._within("device")
        )

    def RawModule(self, code: str, options: tuple[str, ...]) -> Any:
        if self.capturing:
            raise Refused("a kernel is compiled and loaded while a graph is captured")
        defines = {
            key: int(value) for key, value in (option[2:].split("=") for option in options if option[:2] == "-D")
        }
        return SimpleNamespace(get_function=lambda name: functools.partial(self._launch, code, name, defines))

    def _launch(
        self, code: str, name: str, defines: dict[str, int], grid: Any, block: Any, arguments: Sequence[Any]
    ) -> None:
        if self._inside != ["device", "stream"]:
            raise Refused(f"{name}: launched on {self._inside or 'the default stream'}, not on torch's stream")
        declared = parameters(code, name)
        if len(arguments) != len(declared):
            raise Refused(f"{name}: {len(declared)} parameters, {len(arguments)} arguments")
        held = _held()
        for parameter, argument in zip(declared, arguments, strict=True):
            parameter.check(argument, held)
        _check_shape(name, grid, block, _resources(code, name, tuple(sorted(defines.items()))))
        self.launched.append(name)

    @contextmanager
    def _within(self, what: str) -> Iterator[None]:
        self._inside.append(what)
        yield
        self._inside.remove(what)


def _check_shape(name: str, grid: Any, block: Any, uses: Resources) -> None:
    """The launch's shape, against the limits and what the compiler reports of the kernel."""
    (blocks,), (threads,) = grid, block
    if not 1 <= blocks <= MOST_BLOCKS:
        raise Refused(f"{name}: {blocks} blocks, allowed are 1 to {MOST_BLOCKS}")
    if not 1 <= threads <= MOST_THREADS or threads % WARP:
        raise Refused(f"{name}: {threads} threads, allowed are multiples of {WARP} up to {MOST_THREADS}")
    if uses.shared_bytes > MOST_SHARED_BYTES:
        raise Refused(f"{name}: {uses.shared_bytes} bytes of shared memory, allowed are {MOST_SHARED_BYTES}")
    if -(-uses.registers // 8) * 8 * threads > REGISTERS:
        raise Refused(f"{name}: {threads} threads of {uses.registers} registers, there are {REGISTERS}")


@functools.cache
def _resources(code: str, name: str, defines: tuple[tuple[str, int], ...]) -> Resources:
    """What the compiler reports; without a compiler the test is skipped."""
    compiled = compile_variant(f"{name}.cu", ARCHITECTURE, dict(defines), code)
    return next(one for one in compiled if one.function == name)


def _held() -> list[tuple[int, int]]:
    """Where the memory of each tensor that is alive begins and ends."""
    tensors = (one for one in gc.get_objects() if issubclass(type(one), Tensor) and one.device.type == "cpu")
    storages = {one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in tensors}
    return [(begin, begin + max(1, size)) for begin, size in storages.items()]
