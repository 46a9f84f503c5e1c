"""The part of an upsampled picture that is wanted: what lies outside, such as padding, is never written."""

from typing import NamedTuple

import torch
from torch import Tensor

from raftline.kernels.cell import CELL_PX


class Window(NamedTuple):
    """In pixels of the upsampled picture."""

    top: int
    left: int
    height: int
    width: int

    def crop(self, image: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, height, width), a view."""
        return image[..., self.top : self.top + self.height, self.left : self.left + self.width]


def checked_window(flow: Tensor, window: Window | None, dtype: torch.dtype) -> Window:
    """`window`, or all of what (B, 2, H, W) cells become; raises ValueError for what cannot be upsampled into it."""
    if flow.ndim != 4 or flow.shape[1] != 2 or 0 in flow.shape:
        raise ValueError(f"flow: expected shape (B, 2, H, W), none of them 0; found {tuple(flow.shape)}")
    if flow.dtype is not torch.float32:
        raise ValueError(f"flow: expected float32, found {flow.dtype}")
    if dtype not in (torch.float32, torch.float16):
        raise ValueError(f"dtype: expected float32 or float16, found {dtype}")
    height, width = CELL_PX * flow.shape[2], CELL_PX * flow.shape[3]
    if window is None:
        return Window(0, 0, height, width)
    if (
        min(window.top, window.left) < 0
        or min(window.height, window.width) < 1
        or window.top + window.height > height
        or window.left + window.width > width
    ):
        raise ValueError(f"window: expected a part of {height} rows and {width} columns, found {window}")
    return window
