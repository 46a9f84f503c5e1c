"""Full-resolution flow by interpolation: checks at the door, then the kernel.

Its meaning is `stages.kernels.reference.bilinear_upsample`; the kernel is `bilinear_upsample_cpu.py`. On a GPU it is
torch's own interpolation. Gradients come from the reference.
"""

import torch
from torch import Tensor

from stages.kernels import reference
from stages.kernels.bilinear_upsample_cpu import bilinear_upsample_cpu
from stages.kernels.lookup import lookup_choice
from stages.kernels.window import Window, checked_window


def bilinear_upsample(flow: Tensor, window: Window | None = None, dtype: torch.dtype = torch.float32) -> Tensor:
    """Interpolate between cells, the corners of the grid on the corners of the picture.

    Args:
        flow: (B, 2, H, W) float32, in cells.
        window: the part of the (8H, 8W) pixels to compute; None for all.
        dtype: of the result, float32 or float16.

    Returns:
        (B, 2, window.height, window.width) in pixels, channels-last in memory: (H, W, 2) of one image is one stretch.

    Raises:
        ValueError: wrong dtype, shape or window, with what was found and what is expected.
    """
    window = checked_window(flow, window, dtype)
    wants_gradient = torch.is_grad_enabled() and flow.requires_grad
    if not wants_gradient and lookup_choice(flow.device).name == "numba":
        return bilinear_upsample_cpu(flow, window, dtype)
    return window.crop(reference.bilinear_upsample(flow)).to(dtype, memory_format=torch.channels_last)
