"""NVRTC of the wheel `nvidia-cuda-nvrtc` through ctypes: compiles a kernel for a GPU that need not be there."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from pathlib import Path


@functools.lru_cache(maxsize=1)
def library() -> ctypes.CDLL | None:
    """The library, or None where the wheel is not installed."""
    spec = importlib.util.find_spec("nvidia")
    folders = [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []
    found = sorted(path for folder in folders for path in folder.glob("*/lib/libnvrtc.so.*"))
    return ctypes.CDLL(str(found[-1])) if found else None


def version() -> tuple[int, int]:
    """Major and minor."""
    nvrtc = library()
    assert nvrtc is not None
    major, minor = ctypes.c_int(), ctypes.c_int()
    assert nvrtc.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)) == 0
    return major.value, minor.value


def compile_program(text: str, name: str, options: list[str]) -> tuple[int, str]:
    """Compile to machine code for the architecture in the options: (0 if that went well, the compiler's log)."""
    nvrtc = library()
    assert nvrtc is not None
    program = ctypes.c_void_p()
    status = nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), name.encode(), 0, None, None)
    assert status == 0, f"nvrtcCreateProgram: {status}"
    encoded = [option.encode() for option in options]
    status = nvrtc.nvrtcCompileProgram(program, len(encoded), (ctypes.c_char_p * len(encoded))(*encoded))
    size = ctypes.c_size_t()
    assert nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size)) == 0
    log = ctypes.create_string_buffer(size.value)
    assert nvrtc.nvrtcGetProgramLog(program, log) == 0
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return status, log.value.decode()
