"""What the iterations lost is looked for again: whole regions, compared with the later frame at every displacement.

The iterations go downhill from where they begin, and a small thing that moves far before a street that hardly moves
stays where the street pulls it. Where many cells side by side are explained badly by their flow, all of them much
better by one and the same displacement, and no other displacement comes near to it, they are put there, and the
iterations go on. A single cell's best match says little; that a region agrees in it is what makes it evidence.

The figures below were chosen on synthetic clips of a seed that nothing is measured on, with KITTI's pair in sight.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from raftline.kernels.region_evidence import region_evidence
from raftline.kernels.region_evidence.reference import EvidenceRules, mean_over_square
from raftline.kernels.similarity_at import similarity_at

_RULES = EvidenceRules(reach=8, side=7, margin=0.1, reached=1.5, alike=2, least=0.15)
"""Displacements of up to 64 px, regions of 56 px."""
_LEAST_OF_A_SEED = 0.25
"""Evidence with which a region begins."""
_LEAST_RATIO = 3.0
"""Of that evidence to what there is for another displacement."""
_GROWTH = 3
"""How often a region takes in what lies in it and seeks the same with less evidence."""
_SAME = 1
"""Cells by which displacements of one region differ at most: things turn and grow."""
_AGREEMENT = 3
"""Side of the square over which similarities are averaged before a cell is moved."""


class RegionMatches(NamedTuple):
    """Flow, where regions were found elsewhere than it said."""

    flow: Tensor
    """(B, 2, H, W) float32 in cells."""
    found: Tensor
    """(B, H, W) bool: these cells' flow was replaced, by whole cells."""


@torch.no_grad()
def match_regions(features1: Tensor, features2: Tensor, flow: Tensor) -> RegionMatches:
    """Replace the flow of regions that another displacement explains much better.

    On a GPU no value is looked at on the host: it can be recorded in a CUDA graph.

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
    if flow.device.type == "cpu" and not begins.any():
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
