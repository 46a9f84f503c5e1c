"""A function of a .cu file, compiled by CuPy at first use, launched on torch's current stream without a copy."""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).parent
NUMBER = {torch.float32: 32, torch.float16: 16, torch.bfloat16: 116}
"""How `number.cuh` calls a dtype."""

Argument = Tensor | np.generic | None


def source(file: str) -> str:
    """Read a file below this folder with our own includes inserted: CuPy compiles one text."""
    path = FOLDER / file

    def included(found: re.Match[str]) -> str:
        return source(str((path.parent / found[1]).resolve().relative_to(FOLDER.resolve())))

    return re.sub(r'^#include "([./\w]+\.cuh)"$', included, path.read_text(), flags=re.MULTILINE)


@dataclass(frozen=True)
class CudaKernel:
    """One `extern "C"` function."""

    file: str
    """Below this folder, such as "lookup/lookup.cu"."""
    name: str
    """Of the function, such as "lookup"."""

    def launch(
        self, device: torch.device, blocks: int, threads: int, arguments: Sequence[Argument], **defines: int
    ) -> None:
        """Launch it on the current torch stream of the device, with a grid and a block of one dimension.

        Args:
            arguments: a tensor is passed as its address, None as a null pointer, a numpy scalar as it is: its type
                must be that of the parameter.
            defines: each becomes -DNAME=value; there is one compilation for each set of them and each device.
        """
        import cupy  # here: importing this module must neither need nor compile anything

        index = device.index if device.index is not None else torch.cuda.current_device()
        stream = cupy.cuda.ExternalStream(torch.cuda.current_stream(index).cuda_stream, index)
        with cupy.cuda.Device(index), stream:
            function = _function(self, index, tuple(sorted(defines.items())))
            function((blocks,), (threads,), tuple(_as_parameter(argument) for argument in arguments))


@functools.cache
def _function(kernel: CudaKernel, device_index: int, defines: tuple[tuple[str, int], ...]) -> Any:
    """The compiled function; the caller has made `device_index` CuPy's current device."""
    import cupy

    options = ("--std=c++17", *(f"-D{name}={value}" for name, value in defines))
    return cupy.RawModule(code=source(kernel.file), options=options).get_function(kernel.name)


def _as_parameter(argument: Argument) -> np.generic:
    if argument is None:
        return np.uint64(0)
    return np.uint64(argument.data_ptr()) if isinstance(argument, Tensor) else argument
