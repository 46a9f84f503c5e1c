"""The displacement that the cells around each cell speak for, against the flow they have: checks, then the kernel.

Its meaning is `reference.py`, which is a few large products and runs on CUDA as it is; the kernel is `cpu.py`.
"""

import torch
from torch import Tensor

from raftline.kernels.choice import kernel_choice
from raftline.kernels.maps import check_maps
from raftline.kernels.region_evidence import reference
from raftline.kernels.region_evidence.cpu import region_evidence_cpu
from raftline.kernels.region_evidence.reference import EvidenceRules, RegionEvidence


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
    numba = kernel_choice(features1.device).name == "numba"
    with torch.no_grad():
        return (region_evidence_cpu if numba else reference.region_evidence)(
            features1, features2, flow, explained, rules
        )
