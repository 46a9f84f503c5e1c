"""The displacement that the cells around each cell speak for, against the flow they have: checks, then the kernel.

Its meaning is `stages.kernels.reference.region_evidence`, which is a few large products and runs on CUDA as it is; the
kernel is `region_evidence_cpu.py`.
"""

import torch
from torch import Tensor

from stages.kernels import reference
from stages.kernels.lookup import lookup_choice
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
    if features1.ndim != 4 or 0 in features1.shape:
        raise ValueError(f"features1: expected shape (B, C, H, W), none of them 0; found {tuple(features1.shape)}")
    batch, channels, height, width = features1.shape
    for name, tensor, count in (
        ("features1", features1, channels),
        ("features2", features2, channels),
        ("flow", flow, 2),
        ("explained", explained, 1),
    ):
        if tuple(tensor.shape) != (batch, count, height, width):
            expected = (batch, count, height, width)
            raise ValueError(f"{name}: expected shape {expected}, found {tuple(tensor.shape)}")
        if tensor.dtype is not torch.float32:
            raise ValueError(f"{name}: expected float32, found {tensor.dtype}")
        if tensor.device != features1.device:
            raise ValueError(f"{name}: on {tensor.device}, but features1 is on {features1.device}; move one")
    numba = lookup_choice(features1.device).name == "numba"
    with torch.no_grad():
        return (region_evidence_cpu if numba else reference.region_evidence)(
            features1, features2, flow, explained, rules
        )
