"""Flow brought nearer to the pictures, pixel by pixel: checks at the door, then the kernel.

The energy is that of Brox, Bruhn, Papenberg and Weickert (ECCV 2004) with its gradient constancy alone, normalised as
by Zimmer, Bruhn and Weickert (IJCV 2011): a shift of the light changes nothing, and a residual is a length in px. Its
meaning is `variational_refinement_reference.py`; the kernels are `cuda.py` with
`variational_refinement.cu`, and `cpu.py`.
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
    """Flow near `flow_px` that brings the gradients of two pictures together and is smooth but for edges. No gradients.

    Args:
        luma1, luma2: (B, 1, H, W) float32, grey levels 0 to 255, of the earlier and the later picture.
        flow_px: (B, 2, H, W) float32.
        rules: what is weighed.

    Returns:
        (B, 2, H, W) float32, channels-last in memory. What leaves the later picture follows its neighbours.

    Raises:
        ValueError: wrong device, dtype or shape, with what was found and what is expected.
    """
    check_maps(flow_px=(flow_px, 2), luma1=(luma1, 1), luma2=(luma2, 1))
    refine = _KERNELS.get(kernel_choice(flow_px.device).name, variational_refinement_reference)
    with torch.no_grad():
        return refine(luma1, luma2, flow_px, rules)
