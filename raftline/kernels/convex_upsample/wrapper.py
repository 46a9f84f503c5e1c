"""Full-resolution flow as a convex combination of its neighbours: checks at the door, then the kernel.

Its meaning is `raftline.kernels.convex_upsample.reference.convex_upsample`; the kernels are `cuda.py` with
`convex_upsample.cu`, and `cpu.py`. Gradients come from the reference.
"""

import torch
from torch import Tensor

from raftline.kernels.choice import kernel_choice
from raftline.kernels.convex_upsample import reference
from raftline.kernels.convex_upsample.cpu import convex_upsample_cpu
from raftline.kernels.convex_upsample.cuda import convex_upsample_cuda
from raftline.kernels.crop import Crop, checked_crop

MASK_CHANNELS = 9 * 8 * 8
_MASK_DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def convex_upsample(flow: Tensor, mask: Tensor, crop: Crop | None = None, dtype: torch.dtype = torch.float32) -> Tensor:
    """Softmax over the mask's neighbours and weighted sum in one pass.

    Args:
        flow: (B, 2, H, W) float32, in cells.
        mask: (B, 576, H, W) float32, float16 or bfloat16, before the softmax. Channels-last is read as it lies,
            another layout is copied first.
        crop: the part of the (8H, 8W) pixels to compute; None for all.
        dtype: of the result, float32 or float16.

    Returns:
        (B, 2, crop.height, crop.width) in pixels, channels-last in memory: (H, W, 2) of one image is one stretch.

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
