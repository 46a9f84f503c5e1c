"""Variational refinement on CUDA: `variational_refinement.cu`."""

import numpy as np
import torch
from torch import Tensor

from raftline.kernels.cuda_kernel import CudaKernel
from raftline.kernels.variational_refinement.reference import VariationalRules

LINEARISE = CudaKernel("variational_refinement/variational_refinement.cu", "variational_refinement_linearise")
ASSEMBLE = CudaKernel("variational_refinement/variational_refinement.cu", "variational_refinement_assemble")
SWEEP = CudaKernel("variational_refinement/variational_refinement.cu", "variational_refinement_sweep")
_THREADS = 256
"""Of a block: a multiple of the warp's 32. Chosen by hand."""
_TILE_PX = (16, 32)
"""Height and width of what a block linearises or assembles: the kernel's TILE_Y and TILE_X."""
_SWEEP_THREADS = 512
"""The kernel's SWEEP_THREADS: each has 4 x 2 pixels of the square."""
_SQUARE_PX = 64
"""The kernel's SIDE."""
SWEEPS_PER_LAUNCH = 5
"""Each sweep makes the part of a square that is kept 4 px smaller each way: of 64 px, 5 leave 44. More would throw away
more than half of the work."""


def variational_refinement_cuda(luma1: Tensor, luma2: Tensor, flow_px: Tensor, rules: VariationalRules) -> Tensor:
    """As `raftline.kernels.variational_refinement.variational_refinement`, arguments already checked.

    For each warp one launch, and for each of its reweightings one and one for every `SWEEPS_PER_LAUNCH` sweeps. No wait
    for the device, so it can be captured into a graph.
    """
    batch, _, height, width = flow_px.shape
    luma1, luma2 = luma1.contiguous(), luma2.contiguous()
    flow = flow_px.permute(0, 2, 3, 1).contiguous()
    if flow.data_ptr() % 8:  # the kernels load pairs; torch's own allocations lie at multiples of 512
        flow = flow.clone()
    tensor = torch.empty(6, batch, height, width, device=flow.device)
    system = torch.empty(7, batch, height, width, device=flow.device)
    sizes = tuple(map(np.int32, (batch, height, width)))
    floor = np.float32(rules.gradient_floor**2)
    weights = tuple(map(np.float32, (rules.smoothness, rules.residual_floor_px**2, rules.step_floor_px**2)))
    blocks = _blocks(flow, *_TILE_PX)
    for _ in range(rules.warps):
        LINEARISE.launch(flow.device, blocks, _THREADS, (luma1, luma2, flow, tensor, *sizes, floor))
        change = None
        for left in reversed(range(rules.reweightings)):
            ASSEMBLE.launch(flow.device, blocks, _THREADS, (flow, change, tensor, system, *sizes, *weights))
            change = _swept(system, change, flow if left == 0 else None, rules)
        flow = flow if change is None else change
    return flow.permute(0, 3, 1, 2)


def _swept(system: Tensor, change: Tensor | None, base: Tensor | None, rules: VariationalRules) -> Tensor | None:
    """(B, H, W, 2): the change of the flow after all sweeps, plus `base`. None: no change, as where none are made."""
    for done in range(0, rules.sweeps, SWEEPS_PER_LAUNCH):
        sweeps = min(SWEEPS_PER_LAUNCH, rules.sweeps - done)
        added = base if done + sweeps == rules.sweeps else None
        after = torch.empty(*system.shape[1:], 2, device=system.device)
        kept = _SQUARE_PX - 4 * sweeps
        arguments = (system, change, added, after, *map(np.int32, (*system.shape[1:], sweeps)))
        blocks = _blocks(after, kept, kept)
        SWEEP.launch(system.device, blocks, _SWEEP_THREADS, (*arguments, np.float32(rules.relaxation)))
        change = after
    return change


def _blocks(flow: Tensor, tile_height: int, tile_width: int) -> int:
    """So many tiles cover the images (B, H, W, 2)."""
    batch, height, width, _ = flow.shape
    return batch * -(-height // tile_height) * -(-width // tile_width)
