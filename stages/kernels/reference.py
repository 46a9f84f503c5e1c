"""The plain twins: what each kernel means, in torch alone, differentiable, on any device. Read these first.

That of the variational refinement is a file of its own beside its kernels.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_TILE = 32
"""Cells of a row whose dot products are made together (`region_evidence`)."""


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


class Carried(NamedTuple):
    """What `forward_splat` gives."""

    flow: Tensor
    """(B, 2, H, W) float32, finite, holes filled."""
    values: Tensor | None
    """(B, V, H, W) of the dtype they came in, finite, holes filled; None where none were given."""
    landed: Tensor
    """(B, 1, H, W) bool: something came here. Elsewhere is a hole, filled from its neighbours."""


def forward_splat(flow: Tensor, error: Tensor | None = None, values: Tensor | None = None) -> Carried:
    """Carry a flow along itself: where a cell goes, its flow goes with it, and so do its values.

    Every cell lands on the nearest cell of its target (halves to even). Of several, the one with the least error
    stays; without errors the one that moves most, which is most often in front; of equals the last in reading
    order. So the result never depends on the order of execution. Holes are filled from their neighbours, coarse
    to fine: a cell of a coarser level is the mean of what landed in it, a hole is interpolated between such cells.

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


def convex_upsample(flow: Tensor, mask: Tensor) -> Tensor:
    """Full-resolution flow as a convex combination of 3x3 coarse neighbours (appendix B of arXiv 2003.12039).

    Args:
        flow: (B, 2, H, W) in cells of the grid; zero outside.
        mask: (B, 576, H, W), before the softmax over the neighbours; channel = neighbour * 64 + y * 8 + x, with
            the neighbours in reading order and (x, y) the pixel within its cell.

    Returns:
        (B, 2, 8H, 8W) float32 in pixels.
    """
    batch, _, height, width = flow.shape
    # The softmax written out: over a strided axis torch's takes six times as long on a CPU, forwards and back.
    logits = mask.float().reshape(batch, 9, 64, height, width)
    shares = (logits - logits.detach().amax(dim=1, keepdim=True)).exp()
    neighbours = F.unfold(8 * flow.float(), 3, padding=1).view(batch, 2, 9, 1, height, width)
    total = shares.sum(dim=1)
    fine = torch.cat([(shares * neighbours[:, axis]).sum(dim=1) / total for axis in range(2)], dim=1)
    return F.pixel_shuffle(fine, 8)


def bilinear_upsample(flow: Tensor) -> Tensor:
    """(B, 2, H, W) in cells -> (B, 2, 8H, 8W) float32 in pixels, corners aligned as in the authors' `upflow8`."""
    size = (8 * flow.shape[2], 8 * flow.shape[3])
    return F.interpolate(8 * flow.float().contiguous(), size=size, mode="bilinear", align_corners=True)


def similarity_at(features1: Tensor, features2: Tensor, flow: Tensor) -> Tensor:
    """Cosine similarity of each cell with the place its flow leads to.

    Args:
        features1, features2: (B, C, H, W), of length 1 over C.
        flow: (B, 2, H, W) in cells.

    Returns:
        (B, 1, H, W). Between cells features are mixed bilinearly and brought to length 1; outside they are 0.
    """
    _, _, height, width = features1.shape
    y = torch.arange(height, device=flow.device, dtype=torch.float32)[:, None] + flow[:, 1]
    x = torch.arange(width, device=flow.device, dtype=torch.float32) + flow[:, 0]
    # Corners not aligned: a side of one cell has no corners to align.
    where = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    there = F.normalize(F.grid_sample(features2, where, align_corners=False), dim=1)
    return (features1 * there).sum(dim=1, keepdim=True)


@dataclass(frozen=True)
class EvidenceRules:
    """What `region_evidence` counts."""

    reach: int
    """Displacements compared, cells each way."""
    side: int
    """Odd: of the square, in cells, that is heard together."""
    margin: float
    """By so much a cell's cosine similarity must rise before it counts."""
    reached: float
    """Cells: displacements as near as that to the flow a cell has, along x and y, are no news."""
    alike: int
    """Cells: displacements as near as that to the best one, along x and y, are no others."""
    least: float
    """Evidence up to this is as good as none."""


class RegionEvidence(NamedTuple):
    """What the square around each cell speaks for."""

    sought: Tensor
    """(B, 2, H, W) float32, whole cells: the displacement with the most evidence; 0 where there is none."""
    most: Tensor
    """(B, 1, H, W) float32: its evidence, the mean rise of the cosine similarity beyond the margin; 0: none."""
    others: Tensor
    """(B, 1, H, W) float32: that of the best of the others."""


def region_evidence(
    features1: Tensor, features2: Tensor, flow: Tensor, explained: Tensor, rules: EvidenceRules
) -> RegionEvidence:
    """The displacement by which the cells of a square become most like the later frame, beyond what their flow does.

    A cell's rise is its cosine similarity at a displacement, less the one that its flow explains, less the margin,
    and 0 at least. Evidence is the mean over a square; beyond the border there is nothing.

    Args:
        features1, features2: (B, C, H, W), of length 1 over C.
        flow: (B, 2, H, W) in cells.
        explained: (B, 1, H, W), similarity of each cell with where its flow leads.
    """
    side = torch.arange(-rules.reach, rules.reach + 1, device=flow.device, dtype=torch.float32)
    displacements = torch.stack(torch.meshgrid(side, side, indexing="xy"), dim=-1).view(-1, 2)
    rises = (_similarities(features1, features2, rules.reach) - explained - rules.margin).clamp(min=0)
    rises = rises.masked_fill(_within(displacements, flow, rules.reached), 0.0)
    evidence = mean_over_square(rises, rules.side)
    most, best = evidence.max(dim=1, keepdim=True)
    sought = displacements[best[:, 0]].permute(0, 3, 1, 2)
    others = evidence.masked_fill(_within(displacements, sought, rules.alike), 0.0).amax(dim=1, keepdim=True)
    told = most > rules.least
    return RegionEvidence(*(torch.where(told, part, 0.0) for part in (sought, most, others)))


def mean_over_square(maps: Tensor, side: int) -> Tensor:
    """(B, M, H, W): the mean over a square of `side` cells around each; beyond the border there is nothing, 0."""
    across = F.avg_pool2d(maps, (1, side), stride=1, padding=(0, side // 2))
    return F.avg_pool2d(across, (side, 1), stride=1, padding=(side // 2, 0))


def _within(displacements: Tensor, flow: Tensor, cells: float) -> Tensor:
    """(B, D, H, W) bool: which of the displacements (D, 2) are as near to a flow (B, 2, H, W), along x and y."""
    near = [(displacements[:, axis, None, None] - flow[:, axis, None]).abs() <= cells for axis in (0, 1)]
    return near[0] & near[1]


def _similarities(features1: Tensor, features2: Tensor, reach: int) -> Tensor:
    """(B, D, H, W): dot products with the cell at each displacement, y outer; 0 outside.

    A tile of a row is multiplied with all that any of its cells looks at, and the band along the diagonal kept: some
    times the arithmetic, in few products.
    """
    batch, channels, height, width = features1.shape
    sides, seen = 2 * reach + 1, _TILE + 2 * reach
    tiles = -(-width // _TILE)
    spare = tiles * _TILE - width
    rows1 = F.pad(features1, (0, spare)).permute(0, 2, 3, 1).reshape(batch, height, tiles, _TILE, channels)
    rows2 = F.pad(features2, (reach, reach + spare, reach, reach)).permute(0, 2, 3, 1).unfold(2, seen, _TILE)
    out = features1.new_empty(batch, sides, sides, height, width)
    for down in range(sides):
        products = torch.matmul(rows1, rows2[:, down : down + height]).contiguous()
        band = products.as_strided((batch, height, tiles, _TILE, sides), (*products.stride()[:3], seen + 1, 1))
        out[:, down] = band.reshape(batch, height, tiles * _TILE, sides)[:, :, :width].permute(0, 3, 1, 2)
    return out.view(batch, sides**2, height, width)
