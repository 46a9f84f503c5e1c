"""What evidence for the displacement of a region means, in plain torch."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_TILE = 32
"""Cells of a row whose dot products are made together (`region_evidence`)."""


@dataclass(frozen=True)
class EvidenceRules:
    """What `region_evidence` counts."""

    reach: int
    """Displacements compared, cells each way."""
    side: int
    """Odd: side of the square, in cells, whose evidence is averaged."""
    margin: float
    """Rise of the cosine similarity of a cell from which it counts."""
    reached: float
    """Cells along x and y: displacements this close to the flow of a cell do not count."""
    alike: int
    """Cells along x and y: displacements this close to the best one are not another displacement."""
    least: float
    """Evidence up to this counts as none."""


class RegionEvidence(NamedTuple):
    """Evidence of the square around each cell."""

    sought: Tensor
    """(B, 2, H, W) float32, whole cells: the displacement with the most evidence; 0 where there is none."""
    most: Tensor
    """(B, 1, H, W) float32: its evidence, the mean rise of the cosine similarity beyond the margin; 0: none."""
    others: Tensor
    """(B, 1, H, W) float32: that of the best of the others."""


def region_evidence(
    features1: Tensor, features2: Tensor, flow: Tensor, explained: Tensor, rules: EvidenceRules
) -> RegionEvidence:
    """Find the displacement that explains the cells of a square better than their flow does, and its evidence.

    The rise of a cell is its cosine similarity at a displacement, minus that at its flow, minus the margin, and at
    least 0. Evidence is the mean rise over a square; beyond the border it is 0.

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
