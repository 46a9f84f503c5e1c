"""The displacement that the cells around each cell speak for, against the flow they have: checks, then the kernel.

Its meaning is `stages.kernels.reference.region_evidence`, which is a few large products and runs on CUDA as it is; the
kernel is `region_evidence_cpu.py`.
"""

import torch
from torch import Tensor

from stages.kernels import reference
from stages.kernels.lookup import lookup_choice
from stages.kernels.maps import check_maps
from stages.kernels.reference import EvidenceRules, RegionEvidence
from stages.kernels.region_evidence_cpu import region_evidence_cpu


def region_evidence(
    features1: Tensor, features2: Tensor, flow: Tensor, explained: Tensor, rules: EvidenceRules
) -> RegionEvidence:
    """Compare every cell with the later frame at every displacement in reach. No gradients.

    Args:
        features1, features2: (B, C, H, W) float32 of the earlier and the later frame, of length 1 over C.
        flow: (B, 2, H, W) float32 in cells.
        explained: (B, 1, H, W) float32, the cosine similarity of each cell with where its flow leads.
        rules: what counts.

    Raises:
        ValueError: wrong device, dtype or shape, with what was found and what is expected.
    """
    check_maps(features1=(features1, None), features2=(features2, None), flow=(flow, 2), explained=(explained, 1))
    numba = lookup_choice(features1.device).name == "numba"
    with torch.no_grad():
        return (region_evidence_cpu if numba else reference.region_evidence)(
            features1, features2, flow, explained, rules
        )
