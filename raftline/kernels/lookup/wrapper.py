"""The correlation lookup (RAFT, section 3.2): check the arguments, then run the implementation for the device.

`reference.py` defines the result; the kernels are `cuda.py` with `lookup.cu`, and `cpu.py`. Gradients of the levels
come from `gradient.py`. Where gradients of the coordinates are wanted, which RAFT detaches, the reference runs.
"""

import torch
from torch import Tensor

from raftline.kernels.choice import kernel_choice
from raftline.kernels.lookup import reference
from raftline.kernels.lookup.cpu import lookup_cpu
from raftline.kernels.lookup.cuda import lookup_cuda
from raftline.kernels.lookup.gradient import has_backward, lookup_with_gradient

MAX_LEVELS = 4
"""The paper's pyramid; the kernel has as many slots."""
MAX_RADIUS = 4
"""RAFT-large's; RAFT-small's is 3."""
MAX_WINDOWS = 2**31 - 256
"""Pixels times levels, at most: the kernels count them in 32 bits, rounded up to a block of 256."""
DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def lookup(levels: list[Tensor], coords: Tensor, radius: int, out_dtype: torch.dtype | None = None) -> Tensor:
    """Read a window of every level around the coordinates of every pixel: bilinear, zero outside.

    Args:
        levels: 1 to 4 tensors (B, H, W, h_l, w_l), contiguous, float32, float16 or bfloat16, all of one dtype.
        coords: (B, 2, H, W) float32, (x, y) in cells of level 0; level l is read at coords / 2**l.
        radius: 1 to 4, in cells of each level.
        out_dtype: float32, float16 or bfloat16, whatever the levels' is; None for the levels'. Arithmetic is float32.

    Returns:
        (B, len(levels) * (2r+1)**2, H, W) of `out_dtype`; x is the outer, y the inner index of a window.
        Channels-last in memory where a kernel made it.

    Raises:
        ValueError: wrong device, dtype, shape or layout, with what was found and what is expected.
    """
    out_dtype = out_dtype or (levels[0].dtype if levels else torch.float32)
    _check(levels, coords, radius, out_dtype)
    name, dtype = kernel_choice(coords.device).name, levels[0].dtype
    kernel = _KERNELS.get((name, dtype))
    gradient = torch.is_grad_enabled() and any(level.requires_grad for level in levels)
    if (
        kernel is None
        or (torch.is_grad_enabled() and coords.requires_grad)
        or (gradient and not has_backward(name, dtype))
    ):
        return reference.lookup(levels, coords, radius).to(out_dtype)
    if gradient:
        return lookup_with_gradient(kernel, name, levels, coords, radius, out_dtype)
    return kernel(levels, coords, radius, out_dtype)


def _on_cpu(levels: list[Tensor], coords: Tensor, radius: int, out_dtype: torch.dtype) -> Tensor:
    return lookup_cpu(levels, coords, radius).to(out_dtype)


_KERNELS = {
    ("cupy", torch.float32): lookup_cuda,
    ("cupy", torch.float16): lookup_cuda,
    ("cupy", torch.bfloat16): lookup_cuda,
    ("numba", torch.float32): _on_cpu,
}
"""By `kernel_choice` and the levels' dtype; where there is none, the reference runs."""


def _check(levels: list[Tensor], coords: Tensor, radius: int, out_dtype: torch.dtype) -> None:
    if not 1 <= len(levels) <= MAX_LEVELS:
        raise ValueError(f"levels: expected 1 to {MAX_LEVELS} tensors, found {len(levels)}")
    if not 1 <= radius <= MAX_RADIUS:
        raise ValueError(f"radius: expected 1 to {MAX_RADIUS}, found {radius}")
    if coords.ndim != 4 or coords.shape[1] != 2 or coords.numel() == 0:
        raise ValueError(f"coords: expected shape (B, 2, H, W), none of them 0; found {tuple(coords.shape)}")
    if coords.dtype is not torch.float32:
        raise ValueError(f"coords: expected float32, found {coords.dtype}")
    batch, _, height, width = coords.shape
    if batch * height * width * len(levels) > MAX_WINDOWS:
        raise ValueError(f"coords: expected at most {MAX_WINDOWS // len(levels)} pixels, found {tuple(coords.shape)}")
    for number, level in enumerate(levels):
        if level.ndim != 5 or tuple(level.shape[:3]) != (batch, height, width) or level.numel() == 0:
            raise ValueError(
                f"levels[{number}]: expected shape ({batch}, {height}, {width}, h, w), h and w at least 1; "
                f"found {tuple(level.shape)}"
            )
        if level.dtype not in DTYPES or level.dtype is not levels[0].dtype:
            raise ValueError(
                f"levels[{number}]: expected one of float32, float16, bfloat16, the same in all levels; "
                f"found {level.dtype}, levels[0] is {levels[0].dtype}"
            )
        if level.device != coords.device:
            raise ValueError(f"levels[{number}]: on {level.device}, but coords are on {coords.device}; move one")
        if not level.is_contiguous():
            raise ValueError(f"levels[{number}]: expected a contiguous tensor, found strides {level.stride()}")
    if out_dtype not in DTYPES:
        raise ValueError(f"out_dtype: expected one of float32, float16, bfloat16, found {out_dtype}")
