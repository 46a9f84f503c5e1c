"""Every kernel, every variant that its file declares, compiled for GPUs that need not be there: what each uses."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from raftline.kernels.cuda_kernel import FOLDER, source
from tests.raftline.kernels import nvrtc

ARCHITECTURES = (75, 80, 86, 89, 90, 100)


class CompilationFailed(AssertionError):
    """The compiler's own words."""


@dataclass(frozen=True)
class Resources:
    """What ptxas says of one function of one variant on one architecture."""

    file: str
    function: str
    defines: tuple[tuple[str, int], ...]
    architecture: int
    registers: int
    shared_bytes: int
    stack_bytes: int
    spilled_bytes: int
    """Stored and loaded again, summed over the code, not over its execution."""


def files() -> list[str]:
    """Every .cu file below the kernels' folder."""
    return sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.cu"))


def variants(file: str) -> list[dict[str, int]]:
    """All combinations of what the file's lines `// -DNAME=1|2|3` declare."""
    declared = re.findall(r"^// -D(\w+)=(\d+(?:\|\d+)*)", (FOLDER / file).read_text(), flags=re.MULTILINE)
    values = [[int(value) for value in choices.split("|")] for _, choices in declared]
    return [dict(zip([name for name, _ in declared], each, strict=True)) for each in itertools.product(*values)]


def compile_variant(file: str, architecture: int, defines: dict[str, int], text: str | None = None) -> list[Resources]:
    """Compile with NVRTC, as CuPy does, or with nvcc; `text` replaces the file's own. Skips the test without both."""
    options = ["--std=c++17", *(f"-D{name}={value}" for name, value in defines.items())]
    options += [f"--gpu-architecture=sm_{architecture}", "--ptxas-options=-v"]
    text = source(file) if text is None else text
    if nvrtc.library() is not None:
        status, log = nvrtc.compile_program(text, file, options)
    elif shutil.which("nvcc"):
        status, log = _nvcc(text, options)
    else:
        pytest.skip("neither NVRTC (pip install nvidia-cuda-nvrtc) nor nvcc is installed: nothing was compiled")
    if status != 0:
        raise CompilationFailed(log)
    return list(_resources(log, file, architecture, tuple(defines.items())))


def compiler() -> str:
    """Which one compiles, and its version."""
    if nvrtc.library() is not None:
        return "NVRTC {}.{}".format(*nvrtc.version())
    done = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=True)
    return done.stdout.strip().splitlines()[-1]


def _nvcc(text: str, options: list[str]) -> tuple[int, str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kernel.cu")
        path.write_text(text)
        command = ["nvcc", "-cubin", *options, str(path), "-o", str(path.with_suffix(".cubin"))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def _resources(log: str, file: str, architecture: int, defines: tuple[tuple[str, int], ...]) -> Iterator[Resources]:
    functions = log.split("Compiling entry function ")[1:]
    if not functions:
        raise CompilationFailed(f"{file}: the compiler named no kernel: {log}")
    for words in functions:
        yield Resources(
            file=file,
            function=_first(r"'(\w+)'", words),
            defines=defines,
            architecture=architecture,
            registers=int(_first(r"Used (\d+) registers", words)),
            shared_bytes=int(_first(r"(\d+) bytes smem", words, default="0")),
            stack_bytes=int(_first(r"(\d+) bytes stack frame", words)),
            spilled_bytes=int(_first(r"(\d+) bytes spill stores", words))
            + int(_first(r"(\d+) bytes spill loads", words)),
        )


def _first(pattern: str, words: str, default: str | None = None) -> str:
    found = re.search(pattern, words)
    if found is None and default is None:
        raise CompilationFailed(f"the compiler's log does not say {pattern!r}: {words}")
    return default if found is None else found[1]  # type: ignore[return-value]
