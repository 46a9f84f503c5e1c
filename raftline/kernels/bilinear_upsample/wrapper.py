"""Bilinear upsampling of flow by 8: check the arguments, then run the implementation for the device.

`reference.py` defines the result; the kernels are `cuda.py` with `bilinear_upsample.cu`, and `cpu.py`. Gradients come
from the reference.
"""

import torch
from torch import Tensor

from raftline.kernels.bilinear_upsample import reference
from raftline.kernels.bilinear_upsample.cpu import bilinear_upsample_cpu
from raftline.kernels.bilinear_upsample.cuda import bilinear_upsample_cuda
from raftline.kernels.choice import kernel_choice
from raftline.kernels.crop import Crop, checked_crop


def bilinear_upsample(flow: Tensor, crop: Crop | None = None, dtype: torch.dtype = torch.float32) -> Tensor:
    """Interpolate between cells, with the corners of the grid on the corners of the image (the authors' `upflow8`).

    Args:
        flow: (B, 2, H, W) float32, in cells.
        crop: the part of the (8H, 8W) pixels to compute; None for all.
        dtype: of the result, float32 or float16.

    Returns:
        (B, 2, crop.height, crop.width) in pixels, channels-last in memory: (H, W, 2) of one image is contiguous.

    Raises:
        ValueError: wrong dtype, shape or crop, with what was found and what is expected.
    """
    crop = checked_crop(flow, crop, dtype)
    choice = kernel_choice(flow.device).name
    wants_gradient = torch.is_grad_enabled() and flow.requires_grad
    if wants_gradient or choice == "reference":
        upsampled = crop.of(reference.bilinear_upsample(flow))
        return upsampled.to(dtype, memory_format=torch.channels_last)
    kernel = bilinear_upsample_cuda if choice == "cupy" else bilinear_upsample_cpu
    return kernel(flow, crop, dtype)
