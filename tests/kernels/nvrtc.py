"""NVRTC through ctypes: compiles a kernel for a GPU that need not be there, and says what it uses."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from pathlib import Path

import pytest


class CompilationFailed(AssertionError):
    """The compiler's own words."""


@functools.lru_cache(maxsize=1)
def nvrtc() -> ctypes.CDLL:
    """The library of the wheel `nvidia-cuda-nvrtc`; skips the test where it is not installed."""
    spec = importlib.util.find_spec("nvidia")
    folders = [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []
    found = sorted(path for folder in folders for path in folder.glob("*/lib/libnvrtc.so.*"))
    if not found:
        pytest.skip("NVRTC is not installed (pip install nvidia-cuda-nvrtc): the kernels were not compiled")
    return ctypes.CDLL(str(found[-1]))


def compile_cubin(source: str, name: str, *options: str) -> tuple[bytes, str]:
    """Machine code for the architecture in the options, and ptxas's log (registers, shared memory, spills)."""
    library = nvrtc()
    program = ctypes.c_void_p()
    status = library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), name.encode(), 0, None, None)
    assert status == 0, f"nvrtcCreateProgram: {status}"
    encoded = [option.encode() for option in options]
    status = library.nvrtcCompileProgram(program, len(encoded), (ctypes.c_char_p * len(encoded))(*encoded))
    log = _string(library, "nvrtcGetProgramLog", program)
    if status != 0:
        raise CompilationFailed(log)
    cubin = _bytes(library, "nvrtcGetCUBIN", program)
    library.nvrtcDestroyProgram(ctypes.byref(program))
    return cubin, log


def _bytes(library: ctypes.CDLL, getter: str, program: ctypes.c_void_p) -> bytes:
    size = ctypes.c_size_t()
    assert getattr(library, f"{getter}Size")(program, ctypes.byref(size)) == 0
    buffer = ctypes.create_string_buffer(size.value)
    assert getattr(library, getter)(program, buffer) == 0
    return buffer.raw


def _string(library: ctypes.CDLL, getter: str, program: ctypes.c_void_p) -> str:
    return _bytes(library, getter, program).rstrip(b"\0").decode()
