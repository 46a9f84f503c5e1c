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

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

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
_HALF_COST = 0.3
"""Squared difference, as a share of the features' variance, that costs half of the maximum. Unrelated features differ
by twice the variance."""
_DAMPING = 0.01
"""Levenberg-Marquardt damping, relative to the diagonal of the normal equations."""
_STIFF = 1e3
"""Damping of the linear part of a map that leaves a shift alone."""
_FLOOR_SHARE, _FLOOR = 1e-4, 1e-9
"""Further damping, as a share of the mean of the diagonal, and absolute: keeps a map without evidence invertible."""
_LEAST_VARIANCE = 1e-12
"""Keeps the division by the variance of flat features finite."""
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
    guesses = torch.cat([still, bases + _expand(_align(features1, features2, bases), height, width)], dim=1)
    judged = _Alignment(features1, features2, 1, _JUDGE_POINTS)
    weights = judged.spread(_preference(judged.cost(guesses), cold_bias * (iterations**2 - 1)), height, width)
    flow = (weights[:, :, None] * guesses).sum(dim=1)
    return AdaptiveStart(torch.where(torch.isfinite(flow), flow, 0.0), weights[:, 2:].sum(dim=1).mean(dim=(1, 2)))


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
    fine = _Alignment(features1, features2, 1, _ALIGN_POINTS)
    shift = none
    for cells, earlier, later in _coarse(features1, features2):
        shift = _Alignment(earlier, later, cells, _ALIGN_POINTS).improve(guesses, shift, _COARSE_STEPS, _STIFF)
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
    terms = _terms(x.expand(height, width), y[:, None].expand(height, width), height, width)
    return torch.einsum("bkit,thw->bkihw", maps, terms)


def _terms(x: Tensor, y: Tensor, height: int, width: int) -> Tensor:
    """(3, ...): what a map's three columns are multiplied by at cell (x, y), of about one size."""
    scale = max(height, width)
    x, y = (x - (width - 1) / 2) / scale, (y - (height - 1) / 2) / scale
    return torch.stack([torch.ones_like(x), x, y])


class _Alignment:
    """Two frames' features compared at points on a regular grid of the earlier one.

    Args:
        earlier, later: (B, C, h, w), of the whole size divided by `cells`.
        points: how many, at most.
    """

    def __init__(self, earlier: Tensor, later: Tensor, cells: int, points: int) -> None:
        self._cells = cells
        height, width = later.shape[-2:]
        step = max(1, math.ceil(math.sqrt(height * width / points)))
        self._rows = _every(step, height, later.device)
        self._columns = _every(step, width, later.device)
        y, x = torch.meshgrid(self._rows, self._columns, indexing="ij")
        self._points = torch.stack([x, y]).flatten(1).float()
        self._last = torch.stack([x.new_full((1,), width - 1), x.new_full((1,), height - 1)]).float()
        whole_x, whole_y = (self._points * cells).unbind()
        self._terms = _terms(whole_x, whole_y, height * cells, width * cells)
        self._width = width
        self._earlier, self._later = _cell_rows(earlier), _cell_rows(later)
        self._first = torch.arange(len(later), device=later.device)[:, None, None, None, None] * (height * width)
        self._here = self._earlier[:, self._index(self._points)]
        varying = self._here - self._here.mean(dim=1, keepdim=True)
        self._variance = varying.square().mean(dim=(1, 2))[:, None, None].clamp(min=_LEAST_VARIANCE)

    def cost(self, flow: Tensor) -> Tensor:
        """(B, K, 2, H, W) in cells of the full grid -> (B, K, h, w), 0 to 1, at the points."""
        cost = self._compare(self._at_points(flow))[0]
        return cost.unflatten(-1, (len(self._rows), len(self._columns)))

    def mean_cost(self, guesses: Tensor, maps: Tensor) -> Tensor:
        """(B, K): of each guess with its map added."""
        return self._compare(self._at_points(guesses) + maps @ self._terms)[0].mean(dim=-1)

    def improve(self, guesses: Tensor, maps: Tensor, steps: int, stiffness: float) -> Tensor:
        """Gauss-Newton steps of the maps (B, K, 2, 3) over guesses (B, K, 2, H, W)."""
        guess = self._at_points(guesses)
        slopes = self._slopes()
        products = slopes.square().sum(dim=-1)
        squares = (self._terms[:, None] * self._terms).flatten(0, 1).T
        ridge = _DAMPING + stiffness * (torch.arange(3, device=maps.device) > 0)
        for _ in range(steps):
            _, difference, weight = self._compare(guess + maps @ self._terms)
            pull = (slopes[:, None] * difference[:, :, None]).sum(dim=-1) * weight[:, :, None]
            normal = (products[:, None] * weight[:, :, None]) @ squares
            maps = maps + self._cells * _solve(normal.unflatten(-1, (3, 3)), pull @ self._terms.T, ridge)
        return maps

    def spread(self, values: Tensor, height: int, width: int) -> Tensor:
        """(B, K, h, w) at the points -> (B, K, height, width)."""
        return F.interpolate(values, (height, width), mode="bilinear", align_corners=False)

    def _at_points(self, flow: Tensor) -> Tensor:
        """(B, K, 2, H, W) -> (B, K, 2, S)."""
        return flow[..., self._rows[:, None] * self._cells, self._columns * self._cells].flatten(-2)

    def _index(self, points: Tensor) -> Tensor:
        """(..., 2, S) whole cells -> (..., S) rows of `_earlier` and `_later`; the nearest ones outside."""
        x, y = points.clamp(self._last * 0, self._last).long().unbind(dim=-2)
        return y * self._width + x

    def _slopes(self) -> Tensor:
        """(B, 2, S, C): central differences along x and y."""
        side = torch.eye(2, device=self._points.device)[..., None]
        after, before = self._index(self._points + side), self._index(self._points - side)
        return (self._earlier[:, after] - self._earlier[:, before]) / 2

    def _compare(self, flow: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Flow (B, K, 2, S), cells of the full grid -> cost (B, K, S), difference (B, K, S, C), weight (B, K, S)."""
        there = torch.nan_to_num(self._points + flow / self._cells, nan=-1.0)
        inside = ((there >= 0) & (there <= self._last)).all(dim=2)
        difference = self._here[:, None] - self._between(there)
        square = torch.linalg.vector_norm(difference, dim=-1).square() / difference.shape[-1]
        relative = torch.nan_to_num(square / self._variance, nan=torch.inf)
        share = _HALF_COST / (relative + _HALF_COST) * inside
        return 1 - share, difference, share.square()

    def _between(self, points: Tensor) -> Tensor:
        """The later frame's features (B, K, S, C) at points (B, K, 2, S), bilinear, the nearest ones outside."""
        points = points.clamp(self._last * 0, self._last)
        low = points.floor()
        share_x, share_y = (points - low).unbind(dim=2)
        left_top = self._index(low)
        right, below = (low < self._last).unbind(dim=2)
        row = torch.stack([left_top, left_top + right], dim=-1)
        corners = torch.stack([row, row + self._width * below[..., None]], dim=-2) + self._first
        across = torch.stack([1 - share_x, share_x], dim=-1)
        weights = torch.stack([1 - share_y, share_y], dim=-1)[..., None] * across[..., None, :]
        mixed = F.embedding_bag(
            corners.flatten(3).flatten(0, 2),
            self._later.flatten(0, 1),
            per_sample_weights=weights.flatten(3).flatten(0, 2),
            mode="sum",
        )
        return mixed.unflatten(0, corners.shape[:3])


def _every(step: int, size: int, device: torch.device) -> Tensor:
    return torch.arange(min(step // 2, size - 1), size, step, device=device)


def _cell_rows(features: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, h * w, C): a cell's channels lie together."""
    return features.permute(0, 2, 3, 1).flatten(1, 2).contiguous()


def _solve(normal: Tensor, pull: Tensor, ridge: Tensor) -> Tensor:
    """One Gauss-Newton step (B, K, 2, 3): x and y apart, for what couples them is small and the next step heals it.

    Args:
        normal: (B, K, 2, 3, 3), of the maps' x and y rows.
        pull: (B, K, 2, 3).
        ridge: (3,) how much each term is damped, relative to its own weight.
    """
    damped = normal + torch.diag_embed(_damped(normal, ridge))
    return (_inverse(damped) @ pull[..., None])[..., 0]


def _damped(block: Tensor, ridge: Tensor) -> Tensor:
    weights = block.diagonal(dim1=-2, dim2=-1)
    return ridge * weights + _FLOOR_SHARE * weights.mean(dim=-1, keepdim=True) + _FLOOR


def _inverse(matrix: Tensor) -> Tensor:
    """Of (..., 3, 3), from cross products of its rows: torch's own waits for the GPU to say that it succeeded."""
    cofactors = torch.linalg.cross(matrix.roll(-1, dims=-2), matrix.roll(-2, dims=-2), dim=-1)
    determinant = (matrix[..., 0, :] * cofactors[..., 0, :]).sum(dim=-1)[..., None, None]
    return cofactors.transpose(-1, -2) / determinant
