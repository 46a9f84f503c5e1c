"""Where the updates of a pair start: for each cell the best of three guesses, judged by the features of the pair.

The first guess is zero. The second needs no memory: the camera's motion, one affine map for the whole frame, found by
aligning the features of the two frames (the iteration of Lucas and Kanade, inverse as in Baker and Matthews, IJCV
2004, on features instead of grey levels). The third is the last flow carried forward, itself corrected by such a map,
so that a shaking camera does not spoil it. The guess that explains the features best is taken. So flow that was wrong
in the last pair is dropped as soon as the frames contradict it.

No value is read on the host: it can be recorded in a CUDA graph.

Constants without another reason were chosen by hand on the clips of `python -m benchmarks.bench_warm_start`, which
shows their effect; `python -m benchmarks.bench_flow --only warm_start` shows the time.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from raftline.flow.feature_alignment import Alignment, map_terms
from raftline.kernels.forward_splat import forward_splat

_LEAST_SIDE = 3
"""Of a coarse level, cells: with fewer there is nothing to align."""
_COARSE_STEPS = 2
"""Gauss-Newton steps of a shift alone, over 8 and then 4 cells: enough for shifts of up to 64 px."""
_FINE_STEPS = 4
"""Gauss-Newton steps of the affine map."""
_ALIGN_POINTS = 400
"""Points that a map is fitted to, at most: six unknowns need few. Time is proportional."""
_JUDGE_POINTS = 1700
"""Points at which guesses are compared, at most: every 5th cell each way at 1080p, every 2nd at 640x360. Time is
proportional."""
_STIFF = 1e3
"""Damping of the linear part of a map that leaves a shift alone."""
_FRAME_WEIGHT = 2.0
"""Weight of the mean cost over the frame against that of a cell's neighbourhood."""
_SOFTNESS = 0.0075
"""Difference in cost at which the better of two guesses gets e times the weight of the other."""
_CARRIED_PENALTY = 0.002
"""Added to the cost of the carried flow: of equal guesses the one without memory wins."""
COLD_TRAINED_BIAS = 0.008
"""The bias for weights that were only trained with starts at zero; less is right for others."""


class AdaptiveStart(NamedTuple):
    """Where the updates start."""

    flow: Tensor
    """(B, 2, H, W) float32 in cells, finite."""
    carried: Tensor
    """(B,) share of the cells, 0 to 1, that start at the flow carried forward."""


@torch.no_grad()
def choose_start(
    features1: Tensor,
    features2: Tensor,
    iterations: int,
    last_flow: Tensor | None = None,
    cold_bias: float = COLD_TRAINED_BIAS,
    camera: bool = True,
) -> AdaptiveStart:
    """Choose where the updates from the earlier to the later frame of B pairs start.

    Args:
        features1, features2: (B, C, H, W) of the earlier and the later frame, floating point.
        iterations: updates that will follow. The more follow, the better a guess must be to win over zero, where the
            network learnt to start.
        last_flow: (B, 2, H, W) in cells, the flow from the frame before the earlier one to it; NaN where there is
            none. None: nothing is carried.
        cold_bias: preference for zero: this, times the square of the iterations less 1, is added to the cost of every
            other guess. Less is right for weights that were trained from warm starts too.
        camera: whether it may move; if not, zero and the carried flow, as it is, are the guesses.

    Raises:
        ValueError: shapes that do not fit, or no iterations.
    """
    _check(features1, features2, iterations, last_flow)
    batch, _, height, width = features1.shape
    features1, features2 = (
        features.float().contiguous(memory_format=torch.channels_last) for features in (features1, features2)
    )
    still = torch.zeros(batch, 1, 2, height, width, device=features1.device)
    bases = still if last_flow is None else torch.cat([still, forward_splat(last_flow).flow[:, None]], dim=1)
    moved = bases + _expand(_align(features1, features2, bases), height, width) if camera else bases[:, 1:]
    guesses = torch.cat([still, moved], dim=1)
    judged = Alignment(features1, features2, 1, _JUDGE_POINTS)
    weights = judged.spread(_preference(judged.cost(guesses), cold_bias * (iterations**2 - 1)), height, width)
    flow = (weights[:, :, None] * guesses).sum(dim=1)
    carried = weights[:, 2 if camera else 1 :].sum(dim=1).mean(dim=(1, 2))
    return AdaptiveStart(torch.where(torch.isfinite(flow), flow, 0.0), carried)


def _check(features1: Tensor, features2: Tensor, iterations: int, last_flow: Tensor | None) -> None:
    if features1.ndim != 4 or 0 in features1.shape or features2.shape != features1.shape:
        raise ValueError(
            f"features1, features2: expected one shape (B, C, H, W), none of them 0; found "
            f"{tuple(features1.shape)} and {tuple(features2.shape)}"
        )
    if iterations < 1:
        raise ValueError(f"iterations: expected at least 1, found {iterations}")
    expected = (features1.shape[0], 2, *features1.shape[2:])
    if last_flow is not None and tuple(last_flow.shape) != expected:
        raise ValueError(f"last_flow: expected shape {expected}, found {tuple(last_flow.shape)}")


def _preference(cost: Tensor, cold_bias: float) -> Tensor:
    """(B, K, h, w) cost of each guess -> its weight there; they sum to 1. Includes the neighbours and the whole
    frame."""
    near = F.avg_pool2d(F.pad(cost, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    heard = near + _FRAME_WEIGHT * cost.mean(dim=(2, 3), keepdim=True)
    heard[:, 1:] += cold_bias
    heard[:, 2:] += _CARRIED_PENALTY
    return torch.softmax(-heard / _SOFTNESS, dim=1)


def _align(features1: Tensor, features2: Tensor, guesses: Tensor) -> Tensor:
    """The affine map (B, K, 2, 3) that, added to each of K guesses (B, K, 2, H, W), fits the features best."""
    none = guesses.new_zeros(*guesses.shape[:2], 2, 3)
    fine = Alignment(features1, features2, 1, _ALIGN_POINTS)
    shift = none
    for cells, earlier, later in _coarse(features1, features2):
        shift = Alignment(earlier, later, cells, _ALIGN_POINTS).improve(guesses, shift, _COARSE_STEPS, _STIFF)
    if shift is not none:
        better = fine.mean_cost(guesses, shift) < fine.mean_cost(guesses, none)
        shift = torch.where(better[..., None, None], shift, none)
    return fine.improve(guesses, shift, _FINE_STEPS, 0.0)


def _coarse(features1: Tensor, features2: Tensor) -> list[tuple[int, Tensor, Tensor]]:
    """Both frames' features averaged over 8x8 and 4x4 cells, with that side; coarsest first."""
    levels: list[tuple[int, Tensor, Tensor]] = []
    side, cells, pair = 4, 1, [features1, features2]
    while cells < 8 and min(features1.shape[-2:]) >= cells * side * _LEAST_SIDE:
        pair = [F.avg_pool2d(features, side) for features in pair]
        cells, side = cells * side, 2
        levels.insert(0, (cells, pair[0], pair[1]))
    return levels


def _expand(maps: Tensor, height: int, width: int) -> Tensor:
    """Maps (B, K, 2, 3) -> the flow (B, K, 2, H, W) that they say, in cells."""
    y = torch.arange(height, device=maps.device, dtype=torch.float32)
    x = torch.arange(width, device=maps.device, dtype=torch.float32)
    terms = map_terms(x.expand(height, width), y[:, None].expand(height, width), height, width)
    return torch.einsum("bkit,thw->bkihw", maps, terms)
