"""Flow carried forward along itself, for a warm start: check the arguments, then run the implementation for the device.

`reference.py` defines the result; the kernels are `cuda.py` with `forward_splat.cu`, and `cpu.py`. No gradients.
"""

import torch
from torch import Tensor

from raftline.kernels.choice import kernel_choice
from raftline.kernels.forward_splat import reference
from raftline.kernels.forward_splat.cpu import forward_splat_cpu
from raftline.kernels.forward_splat.cuda import forward_splat_cuda
from raftline.kernels.forward_splat.reference import Carried

_KERNELS = {"cupy": forward_splat_cuda, "numba": forward_splat_cpu, "reference": reference.forward_splat}


def forward_splat(flow: Tensor, error: Tensor | None = None, values: Tensor | None = None) -> Carried:
    """Move the flow and the values of each cell to where the cell goes, and fill the holes.

    Args:
        flow: (B, 2, H, W) floating point, (x, y) in cells.
        error: (B, 1, H, W) floating point: of several cells that meet, the one with the least error wins. None: the
            one that moves most wins.
        values: (B, V, H, W) floating point, further channels to carry along.

    Returns:
        `Carried(flow, values, landed)`: flow and values without holes, and the mask of cells that were not holes.

    Raises:
        ValueError: wrong device, dtype or shape, with what was found and what is expected.
    """
    _check(flow, error, values)
    kernel = _KERNELS[kernel_choice(flow.device).name]
    with torch.no_grad():
        return kernel(flow, error, values)


def _check(flow: Tensor, error: Tensor | None, values: Tensor | None) -> None:
    if flow.ndim != 4 or flow.shape[1] != 2 or 0 in flow.shape:
        raise ValueError(f"flow: expected shape (B, 2, H, W), none of them 0; found {tuple(flow.shape)}")
    batch, _, height, width = flow.shape
    if error is not None and tuple(error.shape) != (batch, 1, height, width):
        raise ValueError(f"error: expected shape ({batch}, 1, {height}, {width}), found {tuple(error.shape)}")
    if values is not None and (
        values.ndim != 4 or (values.shape[0], *values.shape[2:]) != (batch, height, width) or values.shape[1] == 0
    ):
        raise ValueError(
            f"values: expected shape ({batch}, V, {height}, {width}), V at least 1; found {tuple(values.shape)}"
        )
    for name, tensor in (("flow", flow), ("error", error), ("values", values)):
        if tensor is None:
            continue
        if not tensor.is_floating_point():
            raise ValueError(f"{name}: expected a floating-point dtype, found {tensor.dtype}")
        if tensor.device != flow.device:
            raise ValueError(f"{name}: on {tensor.device}, but the flow is on {flow.device}; move one")
