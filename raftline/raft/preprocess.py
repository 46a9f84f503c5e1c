"""From a decoded picture to what the network reads."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from raftline.raft.padding import Padding


def check_rgb(frame_rgb: npt.NDArray[np.uint8]) -> None:
    """Raises ValueError unless the frame is (H, W, 3) uint8."""
    if frame_rgb.ndim != 3 or frame_rgb.shape[2] != 3 or 0 in frame_rgb.shape or frame_rgb.dtype != np.uint8:
        raise ValueError(
            f"frame_rgb: expected uint8 of shape (height, width, 3), found {frame_rgb.dtype} of {frame_rgb.shape}"
        )


def to_network_input(frame_rgb: npt.NDArray[np.uint8], padding: Padding, device: torch.device | str) -> Tensor:
    """(H, W, 3) uint8 RGB -> (1, 3, H', W') float32 in [-1, 1], padded, channels last, on `device`."""
    check_rgb(frame_rgb)
    pixels = torch.from_numpy(np.ascontiguousarray(frame_rgb)).to(device)
    image = pixels.permute(2, 0, 1)[None].float().mul_(2 / 255).sub_(1)
    return padding.pad(image).contiguous(memory_format=torch.channels_last)
