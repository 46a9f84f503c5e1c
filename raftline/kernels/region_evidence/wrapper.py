"""Evidence for another displacement than the flow says: check the arguments, then run the implementation for the
device.

`reference.py` defines the result; it is a few large products and runs on CUDA as it is. The kernel is `cpu.py`. No
gradients.
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
    """Compare every cell with the later frame at every displacement in reach.

    Args:
        features1, features2: (B, C, H, W) float32 of the earlier and the later frame, of length 1 over C.
        flow: (B, 2, H, W) float32 in cells.
        explained: (B, 1, H, W) float32, cosine similarity of each cell with the place its flow leads to.
        rules: what counts as evidence.

    Returns:
        The displacement with the most evidence around each cell, its evidence, and that of the best other one.

    Raises:
        ValueError: wrong device, dtype or shape, with what was found and what is expected.
    """
    check_maps(features1=(features1, None), features2=(features2, None), flow=(flow, 2), explained=(explained, 1))
    numba = kernel_choice(features1.device).name == "numba"
    with torch.no_grad():
        return (region_evidence_cpu if numba else reference.region_evidence)(
            features1, features2, flow, explained, rules
        )
