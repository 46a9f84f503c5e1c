"""The correlation lookup without a volume: the dot products of a window are computed when they are looked up.

Memory is linear in the pixels. On a CPU it is no slower than reading the windows from a volume: features fit the
caches and windows of a volume do not, and no volume has to be computed. `reference.py` defines the result; the
kernels are `cuda.py` with `lookup_on_demand.cu`, and `cpu.py`. No gradients.
"""

from typing import Any

import torch
from torch import Tensor

from raftline.kernels.choice import kernel_choice
from raftline.kernels.lookup import DTYPES, MAX_LEVELS, MAX_RADIUS
from raftline.kernels.lookup_on_demand.cpu import KeptWindows, lookup_on_demand_cpu
from raftline.kernels.lookup_on_demand.cuda import KeptOnCuda, lookup_on_demand_cuda
from raftline.kernels.lookup_on_demand.cuda import check as check_for_cuda

Kept = KeptWindows | KeptOnCuda


def _on_cpu(
    features1: Tensor, levels2: list[Tensor], coords: Tensor, radius: int, out_dtype: torch.dtype, kept: Any
) -> Tensor:
    return lookup_on_demand_cpu(features1, levels2, coords, radius, kept).to(out_dtype)


_KERNELS = {
    ("cupy", torch.float32): lookup_on_demand_cuda,
    ("cupy", torch.float16): lookup_on_demand_cuda,
    ("cupy", torch.bfloat16): lookup_on_demand_cuda,
    ("numba", torch.float32): _on_cpu,
}
"""By `kernel_choice` and the features' dtype."""


def supports(device: torch.device) -> bool:
    """Whether there is a kernel for the device: for CUDA with CuPy, for CPUs with numba."""
    return bool(_dtypes(device))


def room_for_windows(features1: Tensor, levels: int, radius: int) -> Kept | None:
    """Room for what `lookup_on_demand` keeps between lookups of the same pair; None where there is no kernel."""
    batch, _, height, width = features1.shape
    name = kernel_choice(features1.device).name
    if name == "cupy":
        return KeptOnCuda.none_yet(features1.device, batch * height * width, levels, radius)
    return KeptWindows.none_yet(batch, height * width, levels, radius) if name == "numba" else None


def lookup_on_demand(
    features1: Tensor,
    levels2: list[Tensor],
    coords: Tensor,
    radius: int,
    out_dtype: torch.dtype | None = None,
    kept: Kept | None = None,
) -> Tensor:
    """Compute a window of correlation around the coordinates of every pixel: bilinear, zero outside.

    Features in channels-last memory are read in place; others are copied at every call.

    Args:
        features1: (B, C, H, W) of the earlier frame, already divided by sqrt(C). float32, on CUDA float16 and bfloat16
            too, where C must be a multiple of 32 in float32, of 64 in the others.
        levels2: 1 to 4 tensors (B, C, h_l, w_l) of the same dtype, the later frame's features averaged over 2**l cells.
        coords: (B, 2, H, W) float32, (x, y) in cells of level 0; level l is read at coords / 2**l.
        radius: 1 to 4, in cells of each level.
        out_dtype: float32, float16 or bfloat16, whatever the features' is; None for the features'. Sums are float32.
        kept: from `room_for_windows`, for lookups with the same features, levels and radius; read and written.

    Returns:
        (B, len(levels2) * (2r+1)**2, H, W) of `out_dtype`, channels-last in memory.

    Raises:
        ValueError: wrong device, dtype, shape or number of channels, with what was found and what is expected.
    """
    out_dtype = out_dtype or features1.dtype
    _check(features1, levels2, coords, radius)
    if out_dtype not in DTYPES:
        raise ValueError(f"out_dtype: expected one of float32, float16, bfloat16, found {out_dtype}")
    if kept is not None and isinstance(kept, KeptOnCuda) is not (kernel_choice(coords.device).name == "cupy"):
        raise ValueError(f"kept: expected what room_for_windows makes for {coords.device}, found {type(kept).__name__}")
    kernel = _KERNELS[kernel_choice(coords.device).name, features1.dtype]
    return kernel(features1, levels2, coords, radius, out_dtype, kept)


def _dtypes(device: torch.device) -> list[torch.dtype]:
    return [dtype for name, dtype in _KERNELS if name == kernel_choice(device).name]


def _check(features1: Tensor, levels2: list[Tensor], coords: Tensor, radius: int) -> None:
    if not 1 <= len(levels2) <= MAX_LEVELS:
        raise ValueError(f"levels2: expected 1 to {MAX_LEVELS} tensors, found {len(levels2)}")
    if not 1 <= radius <= MAX_RADIUS:
        raise ValueError(f"radius: expected 1 to {MAX_RADIUS}, found {radius}")
    if features1.ndim != 4 or features1.numel() == 0:
        raise ValueError(f"features1: expected shape (B, C, H, W), none of them 0; found {tuple(features1.shape)}")
    batch, channels, height, width = features1.shape
    if tuple(coords.shape) != (batch, 2, height, width):
        raise ValueError(f"coords: expected shape ({batch}, 2, {height}, {width}), found {tuple(coords.shape)}")
    if coords.dtype is not torch.float32:
        raise ValueError(f"coords: expected float32, found {coords.dtype}")
    for number, level in enumerate(levels2):
        if level.ndim != 4 or tuple(level.shape[:2]) != (batch, channels) or level.numel() == 0:
            raise ValueError(
                f"levels2[{number}]: expected shape ({batch}, {channels}, h, w), h and w at least 1; "
                f"found {tuple(level.shape)}"
            )
    for name, features in {"features1": features1, **{f"levels2[{n}]": x for n, x in enumerate(levels2)}}.items():
        _check_features(name, features, features1.dtype, coords.device)


def _check_features(name: str, features: Tensor, dtype: torch.dtype, device: torch.device) -> None:
    if features.device != device:
        raise ValueError(f"{name}: on {features.device}, but coords are on {device}; move one")
    if not supports(device):
        raise ValueError(f"{name}: expected a tensor on CUDA with CuPy, or on a CPU with numba; found one on {device}")
    if features.dtype is not dtype or dtype not in _dtypes(device):
        allowed = ", ".join(str(each).removeprefix("torch.") for each in _dtypes(device))
        raise ValueError(
            f"{name}: expected {allowed}, the same in all features; found {features.dtype}, features1 is {dtype}"
        )
    if torch.is_grad_enabled() and features.requires_grad:
        raise ValueError(f"{name}: requires a gradient, and there is none here. Use lookup in a volume, or no_grad()")
    if kernel_choice(device).name == "cupy":
        check_for_cuda(name, features)
