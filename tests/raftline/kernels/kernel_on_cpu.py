"""A .cu file compiled by g++ through a shim and run in a process of its own, under AddressSanitizer and UBSan."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from raftline.kernels.cuda_kernel import Argument, CudaKernel, source

_SHIM = Path(__file__).parent / "kernel_on_cpu.h"
_SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
_NULL = 2**64 - 1


class KernelFailed(AssertionError):
    """What the sanitizers, or the shim, said."""


class KernelOnCpu:
    """A compiled kernel. Its tensors are copied to heap blocks of exactly their size and back after the launch."""

    def __init__(self, kernel: CudaKernel, folder: Path, text: str | None = None, /, **defines: int) -> None:
        """Compile; `text` replaces the kernel's own source. Skips the test without g++."""
        compiler = shutil.which("g++")
        if compiler is None:
            pytest.skip("g++ is not installed: the kernel's arithmetic was not checked on the CPU")
        self.kernel = kernel
        self.folder = folder
        program = folder / "kernel.cpp"
        main = f"int main(int, char** argv) {{ return on_cpu::run_call(argv[1], {kernel.name}); }}"
        program.write_text(f'#include "{_SHIM}"\n{source(kernel.file) if text is None else text}\n{main}\n')
        options = ["-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", *_SANITIZERS]
        options += [f"-D{name}={value}" for name, value in defines.items()]
        command = [compiler, *options, str(program), "-o", str(folder / "kernel")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def launch(self, blocks: int, threads: int, arguments: Sequence[Argument]) -> None:
        """As `CudaKernel.launch`; raises KernelFailed on a bad address, undefined behaviour or a stuck barrier."""
        call = self.folder / "call.bin"
        call.write_bytes(struct.pack("<QQ", blocks, threads) + b"".join(map(_packed, arguments)))
        environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0"}
        done = subprocess.run(
            [self.folder / "kernel", call], capture_output=True, text=True, check=False, env=environment
        )
        if done.returncode != 0:
            raise KernelFailed(done.stderr)
        _unpack(call.read_bytes(), [x for x in arguments if isinstance(x, Tensor)])


def stand_in(monkeypatch: pytest.MonkeyPatch, *compiled: KernelOnCpu) -> None:
    """Let the wrappers launch these compiled kernels, whatever the defines, where they would launch CUDA's."""
    by_kernel = {one.kernel: one for one in compiled}

    def launch(self: CudaKernel, device: object, blocks: int, threads: int, arguments: Sequence[Argument], **_: int):  # type: ignore[no-untyped-def]
        by_kernel[self].launch(blocks, threads, arguments)

    monkeypatch.setattr(CudaKernel, "launch", launch)


def _packed(argument: Argument) -> bytes:
    if argument is None:
        return struct.pack("<QQ", _type_code("p", 8), _NULL)
    if isinstance(argument, Tensor):
        assert argument.is_contiguous() or argument.is_contiguous(memory_format=torch.channels_last)
        stored = _bytes_of(argument)
        return struct.pack("<QQ", _type_code("p", 8), len(stored)) + stored.tobytes()
    code = _type_code("f" if argument.dtype.kind == "f" else "i", argument.itemsize)
    return struct.pack("<Q", code) + argument.tobytes().ljust(8, b"\0")


def _type_code(kind: str, size: int) -> int:
    return ord(kind) << 8 | size


def _unpack(result: bytes, tensors: list[Tensor]) -> None:
    begin = 0
    for tensor in tensors:
        stored = _bytes_of(tensor)
        stored[:] = np.frombuffer(result, np.uint8, len(stored), begin)
        begin += len(stored)


def _bytes_of(tensor: Tensor) -> np.ndarray:
    """The tensor's memory, which lies in one stretch in whatever order of its dimensions."""
    flat = torch.as_strided(tensor, (tensor.numel(),), (1,))
    return flat.view(torch.uint8).numpy()
