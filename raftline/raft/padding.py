"""Padding to a size that the network accepts, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

    from raftline.kernels.crop import Crop

PaddingMode = Literal["centred", "kitti"]

MINIMUM_SIZE_PX = 128
"""The coarsest of the four levels is 1/64 of the image. At 128 px it is 2 cells wide, the least at which the published
implementations are defined, too: at 1 cell they divide coordinates by zero."""


@dataclass(frozen=True)
class Padding:
    """Pixels that an image is padded by on each side."""

    left: int
    right: int
    top: int
    bottom: int

    @classmethod
    def for_size(cls, height: int, width: int, mode: PaddingMode = "centred") -> Padding:
        """Pad to the next multiple of 8, and to at least 128 px.

        "centred" puts half on each side; "kitti" centres horizontally and puts all of the vertical padding at
        the bottom (both as the authors' `InputPadder`, core/utils/utils.py).
        """
        if height < 1 or width < 1:
            raise ValueError(f"an image needs at least one pixel; found {width}x{height}")
        extra_x = _padded(width) - width
        extra_y = _padded(height) - height
        left = extra_x // 2
        top = extra_y // 2 if mode == "centred" else 0
        return cls(left, extra_x - left, top, extra_y - top)

    def pad(self, image: Tensor) -> Tensor:
        """Pad (B, C, H, W) to (B, C, H + top + bottom, W + left + right) by repeating the border."""
        import torch.nn.functional as F  # here, since estimators that need no torch pad, too

        if not any((self.left, self.right, self.top, self.bottom)):
            return image
        return F.pad(image, (self.left, self.right, self.top, self.bottom), mode="replicate")

    def crop(self, padded: Tensor) -> Crop:
        """The crop of (B, C, H + top + bottom, W + left + right) that holds the image."""
        from raftline.kernels.crop import Crop

        height, width = padded.shape[-2:]
        return Crop(self.top, self.left, height - self.top - self.bottom, width - self.left - self.right)

    def unpad(self, image: Tensor) -> Tensor:
        """Undo `pad`; a view."""
        return self.crop(image).of(image)


def _padded(size: int) -> int:
    return max(-(-size // 8) * 8, MINIMUM_SIZE_PX)
