"""The part of an upsampled image that is computed: what lies outside, such as padding, is never written."""

from typing import NamedTuple

import torch
from torch import Tensor

from raftline.kernels.cell import CELL_PX


class Crop(NamedTuple):
    """A rectangle in pixels of the upsampled image."""

    top: int
    left: int
    height: int
    width: int

    def of(self, image: Tensor) -> Tensor:
        """Crop (B, C, H, W) to (B, C, height, width), a view."""
        return image[..., self.top : self.top + self.height, self.left : self.left + self.width]


def checked_crop(flow: Tensor, crop: Crop | None, dtype: torch.dtype) -> Crop:
    """Check the arguments that both upsampling kernels share.

    Args:
        flow: (B, 2, H, W) float32, in cells.
        crop: the part of the (8H, 8W) pixels to compute; None for all.
        dtype: of the result, float32 or float16.

    Returns:
        `crop`, or the whole upsampled image.

    Raises:
        ValueError: wrong dtype, shape or crop, with what was found and what is expected.
    """
    if flow.ndim != 4 or flow.shape[1] != 2 or 0 in flow.shape:
        raise ValueError(f"flow: expected shape (B, 2, H, W), none of them 0; found {tuple(flow.shape)}")
    if flow.dtype is not torch.float32:
        raise ValueError(f"flow: expected float32, found {flow.dtype}")
    if dtype not in (torch.float32, torch.float16):
        raise ValueError(f"dtype: expected float32 or float16, found {dtype}")
    height, width = CELL_PX * flow.shape[2], CELL_PX * flow.shape[3]
    if crop is None:
        return Crop(0, 0, height, width)
    if (
        min(crop.top, crop.left) < 0
        or min(crop.height, crop.width) < 1
        or crop.top + crop.height > height
        or crop.left + crop.width > width
    ):
        raise ValueError(f"crop: expected a part of {height} rows and {width} columns, found {crop}")
    return crop
