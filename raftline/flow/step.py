"""A frame on its way through the network: as the network reads it, and where its cells lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from raftline.flow.changed_part import Part
from raftline.flow.grid import Cells
from raftline.flow.scene_change import Change
from raftline.flow.variational import luma_of
from raftline.kernels.cell import CELL_PX
from raftline.raft.padding import Padding
from raftline.raft.preprocess import to_network_input

if TYPE_CHECKING:
    from raftline.flow.stream import Stream


@dataclass(frozen=True)
class Step:
    """A frame that the network has to encode."""

    stream: Stream
    image: Tensor
    """(1, 3, H', W'), the network's input."""
    cells: Cells
    """Of the frame before it was padded."""
    padding: Padding
    """That of the image: a part of a frame has none."""
    change: Change
    full_resolution: bool = False
    confidence: bool = False
    part: Part | None = None
    """Which of the cells are in the image; None: all."""
    whole: Tensor | None = None
    """(1, 3, H, W) of the frame at its own size, where the image is smaller and flow is refined at full size."""

    @classmethod
    def of(
        cls,
        frame_rgb: npt.NDArray[np.uint8],
        stream: Stream,
        change: Change,
        full_resolution: bool = False,
        confidence: bool = False,
        part: Part | None = None,
        whole_rgb: npt.NDArray[np.uint8] | None = None,
    ) -> Step:
        """The step of a frame, uint8 (H, W, 3) RGB, or of a part of it; `whole_rgb` is the frame at its own size."""
        height, width = frame_rgb.shape[:2]
        padding, device = Padding.for_size(height, width), stream.update_loop.device
        image = to_network_input(frame_rgb, padding, device)
        cells = Cells.padded(height, width, padding)
        if part is not None:
            image = part.of(image, CELL_PX).contiguous(memory_format=torch.channels_last)
            padding = Padding(0, 0, 0, 0)
        whole = None if whole_rgb is None else to_network_input(whole_rgb, Padding(0, 0, 0, 0), device)
        return cls(stream, image, cells, padding, change, full_resolution, confidence, part, whole)

    @property
    def luma(self) -> Tensor:
        """(1, 1, H, W), on which flow is refined."""
        return luma_of(self.image, self.padding.crop(self.image)) if self.whole is None else luma_of(self.whole)

    @property
    def refined_padding(self) -> Padding:
        """That of the grid of refined flow."""
        if self.whole is None:
            return self.padding
        height, width = self.whole.shape[-2:]
        return Padding.for_size(height, width)

    @property
    def refined_cells(self) -> Cells:
        """Those of the grid of refined flow."""
        if self.whole is None:
            return self.cells
        height, width = self.whole.shape[-2:]
        return Cells.padded(height, width, self.refined_padding)
