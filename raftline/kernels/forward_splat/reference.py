"""What carrying a flow forward means, in plain torch."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Carried(NamedTuple):
    """What `forward_splat` gives."""

    flow: Tensor
    """(B, 2, H, W) float32, finite, holes filled."""
    values: Tensor | None
    """(B, V, H, W) of the dtype they came in, finite, holes filled; None where none were given."""
    landed: Tensor
    """(B, 1, H, W) bool: something came here. Elsewhere is a hole, filled from its neighbours."""


def forward_splat(flow: Tensor, error: Tensor | None = None, values: Tensor | None = None) -> Carried:
    """Carry flow along itself: the flow and the values of a cell move to where the cell goes.

    Every cell lands on the nearest cell of its target (halves to even). Of several, the one with the least error
    wins; without errors the one that moves most, which is usually in front; of equals the last in reading order. So
    the result never depends on the order of execution. Holes are filled from their neighbours, coarse to fine: a cell
    of a coarser level is the mean of what landed in it, a hole is interpolated between such cells.

    Args:
        flow: (B, 2, H, W), (x, y) in cells.
        error: (B, 1, H, W), any numbers; the least wins. NaN loses against every number.
        values: (B, V, H, W), carried too. A cell whose flow or values are not all finite is dropped.

    Returns:
        See `Carried`. Zero everywhere where nothing landed at all.
    """
    channels = flow.float() if values is None else torch.cat([flow.float(), values.float()], dim=1)
    landed_channels, landed = _land(channels, _priority(flow.float(), error))
    carried = _fill_holes(landed_channels, landed)
    return Carried(carried[:, :2], None if values is None else carried[:, 2:].to(values.dtype), landed)


def _priority(flow: Tensor, error: Tensor | None) -> Tensor:
    if error is None:
        return flow[:, 0] * flow[:, 0] + flow[:, 1] * flow[:, 1]
    return torch.nan_to_num(0 - error[:, 0].float(), nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)


def _land(channels: Tensor, priority: Tensor) -> tuple[Tensor, Tensor]:
    batch, _, height, width = channels.shape
    cells = height * width
    source = torch.arange(cells, device=channels.device)
    flat = channels.flatten(2)
    x = torch.round(source % width + flat[:, 0])
    y = torch.round(torch.div(source, width, rounding_mode="floor") + flat[:, 1])
    inside = torch.isfinite(flat).all(dim=1) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    # Cells that leave the frame land in one extra slot, which is cut off below.
    target = torch.where(inside, y * width + x, cells).long()
    # Priority and source in one integer: an integer maximum is the same in every order of execution.
    keys = _ordered(priority.flatten(1)) << 31 | source
    winner = torch.full((batch, cells + 1), -1, device=channels.device, dtype=torch.long)
    winner = winner.scatter_reduce(1, target, keys, reduce="amax")[:, :cells]
    landed = winner >= 0
    origin = torch.where(landed, winner % 2**31, 0)
    carried = torch.where(landed[:, None], flat.gather(2, origin[:, None].expand_as(flat)), 0.0)
    return carried.view_as(channels), landed.view(batch, 1, height, width)


def _ordered(numbers: Tensor) -> Tensor:
    """float32 -> integers from 0 to 2**32 - 1 in the same order, from their bits."""
    bits = numbers.view(torch.int32).long()
    return torch.where(bits >= 0, bits + 2**31, -1 - bits)


def _fill_holes(values: Tensor, filled: Tensor) -> Tensor:
    """Pull means up a pyramid until one cell is left, push them down into the holes."""
    height, width = values.shape[-2:]
    if height == 1 and width == 1:
        return values
    weight = filled.float()
    # Both are means over 4 cells, or fewer at the border: their quotient is the mean over the filled ones.
    pooled = F.avg_pool2d(torch.cat([values, weight], dim=1), 2, ceil_mode=True, count_include_pad=False)
    share = pooled[:, -1:]
    coarse = _fill_holes(pooled[:, :-1] / share.clamp(min=0.25), share > 0)
    # A coarse cell lies in the middle of its four, also at an odd border.
    upsampled = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
    return torch.where(filled, values, upsampled[..., :height, :width])
