"""Convex upsampling of flow by 8 (RAFT, appendix B): check the arguments, then run the implementation for the device.

`reference.py` defines the result; the kernels are `cuda.py` with `convex_upsample.cu`, and `cpu.py`. Gradients come
from the reference.
"""

import torch
from torch import Tensor

from raftline.kernels.choice import kernel_choice
from raftline.kernels.convex_upsample import reference
from raftline.kernels.convex_upsample.cpu import convex_upsample_cpu
from raftline.kernels.convex_upsample.cuda import convex_upsample_cuda
from raftline.kernels.crop import Crop, checked_crop

MASK_CHANNELS = 9 * 8 * 8
"""Weights of the 3x3 neighbours for each of the 8x8 pixels of a cell."""
_MASK_DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def convex_upsample(flow: Tensor, mask: Tensor, crop: Crop | None = None, dtype: torch.dtype = torch.float32) -> Tensor:
    """Combine the 3x3 cells around each pixel, weighted by the softmax of the mask.

    Args:
        flow: (B, 2, H, W) float32, in cells.
        mask: (B, 576, H, W) float32, float16 or bfloat16, before the softmax; channel = neighbour * 64 + y * 8 + x.
            Channels-last memory is read in place; another layout is copied first.
        crop: the part of the (8H, 8W) pixels to compute; None for all.
        dtype: of the result, float32 or float16.

    Returns:
        (B, 2, crop.height, crop.width) in pixels, channels-last in memory: (H, W, 2) of one image is contiguous.

    Raises:
        ValueError: wrong device, dtype, shape or crop, with what was found and what is expected.
    """
    crop = checked_crop(flow, crop, dtype)
    _check(flow, mask)
    choice = kernel_choice(flow.device).name
    wants_gradient = torch.is_grad_enabled() and (flow.requires_grad or mask.requires_grad)
    if wants_gradient or choice == "reference":
        upsampled = crop.of(reference.convex_upsample(flow, mask))
        return upsampled.to(dtype, memory_format=torch.channels_last)
    kernel = convex_upsample_cuda if choice == "cupy" else convex_upsample_cpu
    return kernel(flow, mask, crop, dtype)


def _check(flow: Tensor, mask: Tensor) -> None:
    batch, _, height, width = flow.shape
    if tuple(mask.shape) != (batch, MASK_CHANNELS, height, width):
        raise ValueError(
            f"mask: expected shape ({batch}, {MASK_CHANNELS}, {height}, {width}), found {tuple(mask.shape)}"
        )
    if mask.dtype not in _MASK_DTYPES:
        raise ValueError(f"mask: expected float32, float16 or bfloat16, found {mask.dtype}")
    if mask.device != flow.device:
        raise ValueError(f"mask: on {mask.device}, but the flow is on {flow.device}; move one")
