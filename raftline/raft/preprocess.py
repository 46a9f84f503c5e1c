"""From a decoded frame to what the network reads."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from raftline.raft.padding import Padding
from raftline.raft.rgb import check_rgb


def to_network_input(frame_rgb: npt.NDArray[np.uint8], padding: Padding, device: torch.device | str) -> Tensor:
    """Convert (H, W, 3) uint8 RGB to (1, 3, H', W') float32 in [-1, 1], padded, channels last, on `device`."""
    check_rgb(frame_rgb)
    pixels = torch.from_numpy(np.require(frame_rgb, requirements=["C", "W"])).to(device)  # torch warns of read-only
    image = pixels.permute(2, 0, 1)[None].float().mul_(2 / 255).sub_(1)
    return padding.pad(image).contiguous(memory_format=torch.channels_last)
