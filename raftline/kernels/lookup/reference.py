"""What the lookup means, in plain torch: differentiable, on any device. Read it first."""

import torch
from torch import Tensor


def lookup(levels: list[Tensor], coords: Tensor, radius: int) -> Tensor:
    """A (2r+1)x(2r+1) window of every level around every pixel's coordinates, bilinear, zero outside.

    Args:
        levels: level l is (B, H, W, h_l, w_l), the correlation of each of HxW pixels with every cell.
        coords: (B, 2, H, W), (x, y) in cells of level 0; level l is read at coords / 2**l.
        radius: r, in cells of each level.

    Returns:
        (B, len(levels) * (2r+1)**2, H, W). Within a level the channel is (dx + r) * (2r+1) + (dy + r): x is the
        outer one, as in the authors' CorrBlock, whose meshgrid the trained weights follow.
        A window at a coordinate that is not finite lies wholly outside: zeros.
    """
    windows = [_window(level, coords / 2**number, radius) for number, level in enumerate(levels)]
    return torch.cat(windows, dim=1)


def _window(level: Tensor, coords: Tensor, radius: int) -> Tensor:
    batch, height, width, inner_height, inner_width = level.shape
    x, y = coords.float().unbind(dim=1)
    x = _outside_if_undefined(x, radius, inner_width)
    y = _outside_if_undefined(y, radius, inner_height)
    x0, y0 = torch.floor(x), torch.floor(y)
    offsets = torch.arange(-radius, radius + 2, device=level.device)
    columns = (x0.long()[..., None] + offsets)[..., None, :]
    rows = (y0.long()[..., None] + offsets)[..., :, None]
    inside = (columns >= 0) & (columns < inner_width) & (rows >= 0) & (rows < inner_height)
    index = rows.clamp(0, inner_height - 1) * inner_width + columns.clamp(0, inner_width - 1)
    cells = level.flatten(3).gather(3, index.flatten(3)).view(index.shape) * inside
    fx, fy = (x - x0)[..., None, None], (y - y0)[..., None, None]
    across = cells[..., :-1] * (1 - fx) + cells[..., 1:] * fx
    window = across[..., :-1, :] * (1 - fy) + across[..., 1:, :] * fy
    return window.transpose(-1, -2).reshape(batch, height, width, -1).permute(0, 3, 1, 2)


def _outside_if_undefined(x: Tensor, radius: int, size: int) -> Tensor:
    """Bound a coordinate to where the window just misses the level; NaN and infinities land there too."""
    just_outside = -(radius + 2.0)
    return torch.where(torch.isfinite(x), x, just_outside).clamp(just_outside, size + radius + 1.0)
