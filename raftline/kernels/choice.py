"""Which implementation of a kernel serves a device: CuPy, numba or the plain reference."""

import functools
import importlib.util
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class KernelChoice:
    """Which implementation serves a device."""

    name: str
    """"cupy", "numba" or "reference"."""
    fallback: str | None
    """Why the reference runs instead of a kernel, and what to do; None where a kernel runs."""


def kernel_choice(device: torch.device | str) -> KernelChoice:
    """Choose the implementation for a device. Compiles nothing."""
    return _choice(torch.device(device).type)


def values_are_at_hand(device: torch.device) -> bool:
    """Whether code may look at values at no cost: on a GPU the host would wait, and a CUDA graph cannot hold that."""
    return device.type == "cpu"


@functools.cache
def _choice(device_type: str) -> KernelChoice:
    if device_type == "cuda":
        kernel, packages = "cupy", "cupy-cuda13x (the one for torch's CUDA)"
    elif device_type == "cpu":
        kernel, packages = "numba", "numba"
    else:
        return KernelChoice("reference", f"no lookup kernel for device {device_type!r}; plain torch is used")
    if importlib.util.find_spec(kernel) is None:
        reason = (
            f"{kernel} is not installed: the lookup runs in plain torch, several times slower. pip install {packages}"
        )
        return KernelChoice("reference", reason)
    return KernelChoice(kernel, None)
