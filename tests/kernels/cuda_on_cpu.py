"""A .cu file compiled by g++ through a shim, so that its arithmetic is checked without a GPU."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

_SHIM = Path(__file__).parent / "cuda_on_cpu.h"


def compile_on_cpu(source: Path, folder: Path, entry: str, *options: str) -> ctypes.CDLL:
    """Compile `source` and the C++ in `entry`, which launches its kernel; skips the test without g++.

    Undefined behaviour and bad addresses trap: they end the process instead of passing unseen.
    """
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("g++ is not installed: the kernel's arithmetic was not checked on the CPU")
    wrapped = folder / "wrapped.cpp"
    wrapped.write_text(f'#include "{_SHIM}"\n#include "{source}"\n{entry}\n')
    library = folder / "wrapped.so"
    command = [compiler, "-std=c++20", "-O1", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
    command += ["-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]
    command += [*options, str(wrapped), "-o", str(library)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return ctypes.CDLL(str(library))
