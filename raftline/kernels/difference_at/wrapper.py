"""How features differ at points: check the arguments, then run the implementation for the device.

`reference.py` defines the result and runs on CUDA as it is; the kernel is `cpu.py`. No gradients.
"""

import torch
from torch import Tensor

from raftline.kernels.choice import kernel_choice
from raftline.kernels.difference_at import reference
from raftline.kernels.difference_at.cpu import difference_at_cpu


def difference_at(here: Tensor, later: Tensor, there: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
    """Compare features with those of a later frame at K places for each of S points.

    Args:
        here: (B, S, C) float32, those of the points.
        later: (B, h, w, C) float32, contiguous.
        there: (B, K, 2, S) float32, (x, y) in cells: between cells features are mixed bilinearly, outside those of
            the nearest cell are taken. No NaN.
        slopes: (B, D, S, C) float32: directions onto which the difference is projected. D may be 0.

    Returns:
        (B, K, S) the sum of the squared differences over the channels, and (B, K, D, S) the sums of their products with
        the slopes; float32.

    Raises:
        ValueError: shapes that do not fit.
    """
    batch, points, channels = here.shape
    fits = later.ndim == 4 and 0 not in later.shape and (later.shape[0], later.shape[-1]) == (batch, channels)
    fits = fits and there.ndim == 4 and (there.shape[0], *there.shape[2:]) == (batch, 2, points)
    if not fits or slopes.ndim != 4 or (slopes.shape[0], *slopes.shape[2:]) != (batch, points, channels):
        raise ValueError(
            "here, later, there, slopes: expected (B, S, C), (B, h, w, C), (B, K, 2, S), (B, D, S, C); found "
            + ", ".join(str(tuple(each.shape)) for each in (here, later, there, slopes))
        )
    numba = kernel_choice(here.device).name == "numba"
    with torch.no_grad():
        return (difference_at_cpu if numba else reference.difference_at)(here, later, there, slopes)
