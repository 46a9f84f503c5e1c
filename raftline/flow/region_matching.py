"""Regions that the updates have lost are searched for: compared with the later frame at every displacement.

Updates go downhill from where they start. A small object that moves far in front of a street that hardly moves stays
where the street pulls it. Where many neighbouring cells are explained badly by their flow, all of them much better by
the same displacement, and no other displacement comes near, they are moved there, and the updates go on. The best
match of a single cell says little; that a region agrees in it is evidence.

The constants were tuned on synthetic clips (`raftline evaluate --dataset synthetic:N --region-matching`), of a seed
that no published figure is measured on, and on KITTI's pair.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from raftline.kernels.choice import values_are_at_hand
from raftline.kernels.region_evidence import region_evidence
from raftline.kernels.region_evidence.reference import EvidenceRules, mean_over_square
from raftline.kernels.similarity_at import similarity_at

_RULES = EvidenceRules(reach=8, side=7, margin=0.1, reached=1.5, alike=2, least=0.15)
"""Displacements of up to 8 cells, 64 px; regions of 7 cells, 56 px."""
_LEAST_OF_A_SEED = 0.25
"""Evidence from which a region begins, in cosine similarity."""
_LEAST_RATIO = 3.0
"""Ratio, at least, of that evidence to the evidence for any other displacement."""
_GROWTH = 3
"""How often a region takes in neighbouring cells that match at the same displacement with less evidence."""
_SAME = 1
"""Cells by which displacements within a region differ at most: objects turn and grow."""
_AGREEMENT = 3
"""Side of the square over which similarities are averaged before a cell is moved."""


class RegionMatches(NamedTuple):
    """Flow with the lost regions moved."""

    flow: Tensor
    """(B, 2, H, W) float32 in cells."""
    found: Tensor
    """(B, H, W) bool: cells whose flow was replaced, by whole cells."""


@torch.no_grad()
def match_regions(features1: Tensor, features2: Tensor, flow: Tensor) -> RegionMatches:
    """Replace the flow of regions that another displacement explains much better.

    On a GPU no value is read on the host: it can be recorded in a CUDA graph.

    Args:
        features1, features2: (B, C, H, W) of the earlier and the later frame, floating point.
        flow: (B, 2, H, W) float32 in cells, from the earlier to the later frame.

    Raises:
        ValueError: shapes that do not fit.
    """
    features1, features2 = F.normalize(features1.float(), dim=1), F.normalize(features2.float(), dim=1)
    explained = similarity_at(features1, features2, flow)
    evidence = region_evidence(features1, features2, flow, explained, _RULES)
    begins = (evidence.most > _LEAST_OF_A_SEED) & (evidence.most > _LEAST_RATIO * evidence.others)
    if values_are_at_hand(flow.device) and not begins.any():
        return RegionMatches(flow, begins[:, 0])
    certain = torch.where(begins, evidence.most, 0.0)
    for _ in range(_GROWTH):
        strongest, sought = _nearby(certain, evidence.sought)
        same = (evidence.sought - sought).abs().amax(dim=1, keepdim=True) <= _SAME
        certain = torch.where((strongest > 0) & same, evidence.most, certain)
    strongest, sought = _nearby(certain, evidence.sought)
    rise = mean_over_square(similarity_at(features1, features2, sought) - explained, _AGREEMENT)
    apart = (sought - flow).abs().amax(dim=1, keepdim=True) > _RULES.reached
    found = (strongest > 0) & apart & (rise > 0)
    return RegionMatches(torch.where(found, sought, flow), found[:, 0])


def _nearby(certain: Tensor, sought: Tensor) -> tuple[Tensor, Tensor]:
    """The strongest of the certain ones in the region around each cell (B, 1, H, W), and what it seeks (B, 2, H, W)."""
    side = _RULES.side
    strongest, place = F.max_pool2d(certain, side, stride=1, padding=side // 2, return_indices=True)
    return strongest, sought.flatten(2).gather(2, place.flatten(2).expand(-1, 2, -1)).view_as(sought)
