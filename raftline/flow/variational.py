"""The network's flow, brought nearer to the pictures.

The network finds what went where, on a grid of 8 px, from features that see far around; where exactly, to a tenth of a
pixel and at the edge of a thing, the pictures themselves know better. So the flow, once upsampled, goes downhill on a
variational energy of the two pictures: near enough to the truth that nothing coarser than the pixels is needed.

The figures were chosen among some sixty settings on synthetic clips, on still ones with noise and compression, and with
Middlebury's, Sintel's, KITTI's and FlyingChairs' pairs in sight.
"""

from torch import Tensor

from raftline.kernels.crop import Crop
from raftline.kernels.variational_refinement import VariationalRules, variational_refinement

RULES = VariationalRules(
    smoothness=0.7,
    gradient_floor=2.0,
    residual_floor_px=0.001,
    step_floor_px=0.005,
    warps=2,
    reweightings=2,
    sweeps=5,
    relaxation=1.8,
)
_LUMA = (0.299, 0.587, 0.114)
"""Of red, green and blue: ITU-R BT.601."""


def luma_of(image: Tensor, crop: Crop | None = None) -> Tensor:
    """(B, 3, H, W) RGB in [-1, 1] -> (B, 1, H, W) float32 grey levels 0 to 255, or those of the crop."""
    red, green, blue = (image if crop is None else crop.of(image)).float().split(1, dim=1)
    return (_LUMA[0] * red).add_(green, alpha=_LUMA[1]).add_(blue, alpha=_LUMA[2]).add_(1).mul_(127.5)


def refine_on_images(luma1: Tensor, luma2: Tensor, flow_px: Tensor) -> Tensor:
    """Flow nearer to the pictures than `flow_px`, whose error is a few px at most where it is to be mended.

    Args:
        luma1, luma2: (B, 1, H, W) of the earlier and the later picture (`luma_of`).
        flow_px: (B, 2, H, W) float32.

    Returns:
        (B, 2, H, W) float32, channels-last in memory.

    Raises:
        ValueError: shapes that do not fit.
    """
    return variational_refinement(luma1, luma2, flow_px, RULES)
