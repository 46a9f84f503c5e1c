"""Compiling kernels before they are called, on all cores: else each stage compiles its own, one after the other.

Loading `raftline.kernels.ahead.NAME` does it for the kernels in ``NAME.txt`` whose modules are loaded. A line is a
module, a kernel and its arguments, as streams of video give them: scalars by type, arrays as type, dimensions, layout,
and ``r`` if they are read-only: ``float32:2C``. `python -m benchmarks.kernel_signatures` writes them. A kernel that is
not listed, or is called with other types, is compiled at its first call.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from importlib.resources import files
from typing import Any, NamedTuple

Signature = tuple[str, ...]


class Known(NamedTuple):
    """A kernel, and what it is called with."""

    kernel: Callable[..., Any]
    signatures: tuple[Signature, ...]

    def compile(self) -> None:
        """Compile it for all its signatures, and keep what that gives."""
        dispatcher: Any = self.kernel.dispatcher()  # type: ignore[attr-defined]
        for signature in self.signatures:
            dispatcher.compile(tuple(map(numba_type, signature)))

    def is_kept(self) -> bool:
        """Whether anything of it was compiled before, from this source and with this numba."""
        from raftline.kernels.kernel_cache import KernelCache

        return KernelCache(self.kernel.__wrapped__).keeps_any()  # type: ignore[attr-defined]


def numba_type(told: str) -> Any:
    """Return numba's type of an argument of a list."""
    from numba import types

    dtype, _, array = told.partition(":")
    scalar = getattr(types, "boolean" if dtype == "bool" else dtype)
    return types.Array(scalar, int(array[0]), array[1], readonly=array.endswith("r")) if array else scalar


def listed(name: str) -> dict[tuple[str, str], list[Signature]]:
    """Read ``name.txt``: what each kernel, by module and name, is called with."""
    signatures: dict[tuple[str, str], list[Signature]] = {}
    for line in files(__name__).joinpath(f"{name}.txt").read_text().splitlines():
        module, kernel, *signature = line.split()
        signatures.setdefault((module, kernel), []).append(tuple(signature))
    return signatures


def known(name: str) -> list[Known]:
    """Return the kernels of ``name.txt`` whose modules are loaded."""
    return [
        Known(getattr(sys.modules[module], kernel), tuple(signatures))
        for (module, kernel), signatures in listed(name).items()
        if hasattr(sys.modules.get(module), kernel)
    ]


def compile_ahead(name: str) -> None:
    """Compile the kernels of a list that are not kept yet, each in one of as many forks as there are cores.

    What cannot be compiled is left to its first call, which says why.
    """
    try:
        missing = [kernel for kernel in known(name) if not kernel.is_kept()]
    except RuntimeError:  # no folder may be written: nothing could be kept
        return
    lanes = len(os.sched_getaffinity(0))
    children = [_forked(missing[lane::lanes]) for lane in range(min(lanes, len(missing)))]
    for child in children:
        os.waitpid(child, 0)


def _forked(kernels: list[Known]) -> int:
    child = os.fork()
    if child:
        return child
    parent = os.getppid()
    with contextlib.suppress(BaseException):
        for kernel in kernels:
            if os.getppid() != parent:
                break  # nobody waits any more
            with contextlib.suppress(Exception):
                kernel.compile()
    os._exit(0)
