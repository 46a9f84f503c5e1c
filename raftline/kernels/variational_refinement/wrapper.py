"""Variational refinement of flow: check the arguments, then run the implementation for the device.

The energy is that of Brox, Bruhn, Papenberg and Weickert (ECCV 2004) with gradient constancy alone, normalised as by
Zimmer, Bruhn and Weickert (IJCV 2011): a change of brightness changes nothing, and a residual is a length in px.
`reference.py` defines the result; the kernels are `cuda.py` with `variational_refinement.cu`, and `cpu.py`. No
gradients.
"""

import torch
from torch import Tensor

from raftline.kernels.choice import kernel_choice
from raftline.kernels.maps import check_maps
from raftline.kernels.variational_refinement.cpu import variational_refinement_cpu
from raftline.kernels.variational_refinement.cuda import variational_refinement_cuda
from raftline.kernels.variational_refinement.reference import VariationalRules, variational_refinement_reference

_KERNELS = {"cupy": variational_refinement_cuda, "numba": variational_refinement_cpu}


def variational_refinement(luma1: Tensor, luma2: Tensor, flow_px: Tensor, rules: VariationalRules) -> Tensor:
    """Move flow so that the gradients of the two images match and neighbours move alike, except at edges.

    Args:
        luma1, luma2: (B, 1, H, W) float32, grey levels 0 to 255, of the earlier and the later image.
        flow_px: (B, 2, H, W) float32.
        rules: weights and iterations of the energy.

    Returns:
        (B, 2, H, W) float32, channels-last in memory. Pixels that leave the image follow their neighbours.

    Raises:
        ValueError: wrong device, dtype or shape, with what was found and what is expected.
    """
    check_maps(flow_px=(flow_px, 2), luma1=(luma1, 1), luma2=(luma2, 1))
    refine = _KERNELS.get(kernel_choice(flow_px.device).name, variational_refinement_reference)
    with torch.no_grad():
        return refine(luma1, luma2, flow_px, rules)
