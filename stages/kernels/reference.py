"""The plain twins: what each kernel means, in torch alone, differentiable, on any device. Read these first."""

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


def lookup_on_demand(features1: Tensor, levels2: list[Tensor], coords: Tensor, radius: int) -> Tensor:
    """The lookup of the dot products of features, said without a word about when they are computed.

    Averaging the dot products over cells, as the pyramid does, is the dot product with the averaged features.

    Args:
        features1: (B, C, H, W) of the earlier frame, already divided by sqrt(C).
        levels2: level l is (B, C, h_l, w_l), the later frame's features averaged over 2**l x 2**l cells.
        coords, radius: as in `lookup`.

    Returns:
        As `lookup`.
    """
    volumes = [torch.einsum("bcij,bckl->bijkl", features1, features2) for features2 in levels2]
    return lookup(volumes, coords, radius)


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


def forward_splat(flow: Tensor) -> Tensor:
    """Carry a flow along itself: where a cell goes, its flow goes with it.

    Every cell lands on the nearest cell of its target; of several, the one that moves most stays (it is most
    often in front), and of equally fast ones the last in reading order, so that the result never depends on the
    order of execution. Cells that nothing reaches are filled from their neighbours, coarse to fine.

    Args:
        flow: (B, 2, H, W), (x, y) in cells. A cell whose flow is not finite is dropped.

    Returns:
        (B, 2, H, W) float32, without holes. Zero where nothing landed at all.
    """
    landed, filled = _land(flow.float())
    return _fill_holes(landed, filled)


def _land(flow: Tensor) -> tuple[Tensor, Tensor]:
    batch, _, height, width = flow.shape
    cells = height * width
    source = torch.arange(cells, device=flow.device)
    flat = flow.flatten(2)
    finite = torch.isfinite(flat).all(dim=1)
    flat = torch.where(finite[:, None], flat, 0.0)
    x = torch.round(source % width + flat[:, 0])
    y = torch.round(torch.div(source, width, rounding_mode="floor") + flat[:, 1])
    inside = finite & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    # Cells that leave the frame land in one extra slot, which is cut off below.
    target = torch.where(inside, y * width + x, cells).long()
    # Priority and source in one integer: an integer maximum is the same in every order of execution.
    priority = (flat.norm(dim=1).clamp(max=2.0**20) * 256).long() * cells + source
    winner = torch.full((batch, cells + 1), -1, device=flow.device, dtype=torch.long)
    winner = winner.scatter_reduce(1, target, priority, reduce="amax")[:, :cells]
    filled = winner >= 0
    origin = torch.where(filled, winner % cells, 0)
    landed = flat.gather(2, origin[:, None].expand(-1, 2, -1)) * filled[:, None]
    return landed.view(batch, 2, height, width), filled.view(batch, 1, height, width).float()


def _fill_holes(values: Tensor, weight: Tensor) -> Tensor:
    """Pull averages up a pyramid until one cell is left, push them down into the holes."""
    height, width = values.shape[-2:]
    if height == 1 and width == 1:
        return values
    pooled = torch.nn.functional.avg_pool2d(values * weight, 2, ceil_mode=True, count_include_pad=False)
    pooled_weight = torch.nn.functional.avg_pool2d(weight, 2, ceil_mode=True, count_include_pad=False)
    coarse = _fill_holes(pooled / pooled_weight.clamp(min=1e-6), (pooled_weight > 0).float())
    upsampled = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=False)
    return torch.where(weight > 0, values, upsampled)
