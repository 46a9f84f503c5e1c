"""The lookup on demand on CUDA: `lookup_on_demand.cu`."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from raftline.kernels.cuda_kernel import NUMBER, CudaKernel
from raftline.kernels.lookup.cuda import level_sizes, padded, pixel_strides

KERNEL = CudaKernel("lookup_on_demand/lookup_on_demand.cu", "lookup_on_demand")
TILE = 8
"""Side, in pixels, of what a block serves; as in the kernel, whose header derives it."""
THREADS = 128
"""Of a block, as in the kernel."""
STEP_BYTES = 128
"""Bytes of a row of channels that the kernel reads at a time: the row must be a multiple of it."""
MAX_VECTORS = 2**31 - 1
"""Vectors of 16 bytes in one tensor of features, at most: the kernel counts them in 32 bits."""


@dataclass(frozen=True)
class KeptOnCuda:
    """The windows of the last lookup, for successive lookups of one pair: those that stay are not computed again.

    It may be made while a CUDA graph is recorded, each replay of which begins with nothing kept.
    """

    corners: Tensor
    """(levels, B * H * W, 2) int32: left and top cell; the least int32 where nothing is kept."""
    windows: Tensor
    """(levels, B * H * W, (2r+2)**2) float32, x outer: 1.6 kB a pixel with four levels and radius 4."""

    @classmethod
    def none_yet(cls, device: torch.device, pixels: int, levels: int, radius: int) -> "KeptOnCuda":
        """Room for B * H * W pixels."""
        nothing = torch.iinfo(torch.int32).min
        return cls(
            torch.full((levels, pixels, 2), nothing, dtype=torch.int32, device=device),
            torch.empty(levels, pixels, (2 * radius + 2) ** 2, device=device),
        )


def lookup_on_demand_cuda(
    features1: Tensor,
    levels2: list[Tensor],
    coords: Tensor,
    radius: int,
    out_dtype: torch.dtype,
    kept: KeptOnCuda | None = None,
) -> Tensor:
    """As `raftline.kernels.lookup_on_demand.lookup_on_demand`, arguments already checked.

    Features that lie channels-last in memory are read where they lie; others are copied.
    """
    batch, channels, height, width = features1.shape
    expected = (len(levels2), batch * height * width, (2 * radius + 2) ** 2)
    if kept is not None and tuple(kept.windows.shape) != expected:
        raise ValueError(f"kept: expected windows of shape {expected}, found {tuple(kept.windows.shape)}")
    out = torch.empty(batch, height, width, len(levels2) * (2 * radius + 1) ** 2, dtype=out_dtype, device=coords.device)
    coords, strides = pixel_strides(coords)
    arguments = (
        _rows(features1),
        *padded([_rows(level) for level in levels2]),
        coords,
        out,
        kept.corners if kept else None,
        kept.windows if kept else None,
        *level_sizes(levels2),
        *map(np.int64, strides),
        *map(np.int32, (height, width, channels, len(levels2), NUMBER[out_dtype])),
    )
    blocks = batch * -(-height // TILE) * -(-width // TILE) * len(levels2)
    KERNEL.launch(coords.device, blocks, THREADS, arguments, ELEMENT=NUMBER[features1.dtype], RADIUS=radius)
    return out.permute(0, 3, 1, 2)


def check(name: str, features: Tensor) -> None:
    """Raise ValueError for features (B, C, h, w) that the kernel cannot take."""
    step = STEP_BYTES // features.element_size()
    if features.shape[1] % step != 0:
        raise ValueError(
            f"{name}: expected a multiple of {step} channels in {features.dtype}, found {features.shape[1]}; "
            "look up in a volume instead (all pairs), or pad the channels with zeros"
        )
    if features.numel() * features.element_size() > 16 * MAX_VECTORS:
        raise ValueError(f"{name}: expected less than 2**31 times 16 bytes, found shape {tuple(features.shape)}")


def _rows(features: Tensor) -> Tensor:
    """(B, h, w, C), contiguous, from 16 bytes' alignment on."""
    rows = features.permute(0, 2, 3, 1).contiguous()
    return rows if rows.data_ptr() % 16 == 0 else rows.clone()
