"""Refinement of the network's flow on the pixels of both frames.

The network finds what went where, on a grid of 8 px, from features with a large field of view. The pixels say where
exactly: to a tenth of a pixel, and at the edges of objects. So the upsampled flow descends a variational energy of the
two frames. It starts close enough to the truth that no coarser scale than the pixels is needed.

The constants were tuned, among some sixty settings, on synthetic clips, on still clips with noise and compression,
and on the pairs of Middlebury, Sintel, KITTI and FlyingChairs. `python -m benchmarks.bench_variational_refinement`
shows the effect.
"""

import torch.nn.functional as F
from torch import Tensor

from raftline.kernels.cell import CELL_PX
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
"""Weights of red, green and blue in luma: ITU-R BT.601."""


def luma_of(image: Tensor, crop: Crop | None = None) -> Tensor:
    """Convert (B, 3, H, W) RGB in [-1, 1] to (B, 1, H, W) float32 grey levels 0 to 255, of the crop where one is
    given."""
    red, green, blue = (image if crop is None else crop.of(image)).float().split(1, dim=1)
    return (_LUMA[0] * red).add_(green, alpha=_LUMA[1]).add_(blue, alpha=_LUMA[2]).add_(1).mul_(127.5)


def refine_on_images(luma1: Tensor, luma2: Tensor, flow_px: Tensor) -> Tensor:
    """Refine flow on the images, where it is wrong by no more than a few px.

    Args:
        luma1, luma2: (B, 1, H, W) of the earlier and the later frame (`luma_of`).
        flow_px: (B, 2, H, W) float32.

    Returns:
        (B, 2, H, W) float32, channels-last in memory.

    Raises:
        ValueError: shapes that do not fit.
    """
    return variational_refinement(luma1, luma2, flow_px, RULES)


def refine_from_smaller(luma1: Tensor, luma2: Tensor, flow_px: Tensor) -> Tensor:
    """Refine flow of the images at a smaller size, first at that size, then at theirs.

    Args:
        luma1, luma2: (B, 1, H, W) of the earlier and the later frame (`luma_of`).
        flow_px: (B, 2, h, w) float32, in px of the smaller size.

    Returns:
        (B, 2, H, W) float32 in px of the full size, channels-last in memory.

    Raises:
        ValueError: shapes that do not fit.
    """
    (height, width), (small_height, small_width) = luma1.shape[-2:], flow_px.shape[-2:]
    small1, small2 = (F.interpolate(luma, (small_height, small_width), mode="area") for luma in (luma1, luma2))
    larger = flow_px.new_tensor([width / small_width, height / small_height])[:, None, None]
    refined_px = refine_on_images(small1, small2, flow_px) * larger
    return refine_on_images(luma1, luma2, F.interpolate(refined_px, (height, width), mode="bilinear"))


def refined_grid(luma1: Tensor, luma2: Tensor, grid_px: Tensor) -> Tensor:
    """Refine the flow of the grid on the images at half size: a quarter of the work.

    Args:
        luma1, luma2: (B, 1, H, W) of the earlier and the later frame, H and W multiples of 8.
        grid_px: (B, 2, H/8, W/8) float32, in px of the full size.

    Returns:
        (B, 2, H/8, W/8), the mean of the refined flow over each cell.

    Raises:
        ValueError: shapes that do not fit.
    """
    half1, half2 = (F.avg_pool2d(luma, 2) for luma in (luma1, luma2))
    half_px = F.interpolate(grid_px / 2, scale_factor=CELL_PX / 2, mode="bilinear")
    return 2 * F.avg_pool2d(refine_on_images(half1, half2, half_px), CELL_PX // 2)
