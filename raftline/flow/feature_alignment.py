"""Affine maps between two frames, found by aligning their features.

Gauss-Newton with the derivatives of the earlier frame (inverse compositional, Baker and Matthews, IJCV 2004), on a
regular grid of points. No value is read on the host: it can be recorded in a CUDA graph.

Constants without another reason were chosen by hand on the clips of `python -m benchmarks.bench_warm_start`.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from raftline.kernels.difference_at import difference_at

_HALF_COST = 0.3
"""Squared difference, as a share of the features' variance, that costs half of the maximum. Unrelated features differ
by twice the variance."""
_DAMPING = 0.01
"""Levenberg-Marquardt damping, relative to the diagonal of the normal equations."""
_FLOOR_SHARE, _FLOOR = 1e-4, 1e-9
"""Further damping, as a share of the mean of the diagonal, and absolute: keeps a map without evidence invertible."""
_LEAST_VARIANCE = 1e-12
"""Keeps the division by the variance of flat features finite."""


class Alignment:
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
        self._terms = map_terms(whole_x, whole_y, height * cells, width * cells)
        self._width = width
        self._earlier = earlier.permute(0, 2, 3, 1).flatten(1, 2)
        self._later = later.permute(0, 2, 3, 1).contiguous()
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
        """Take Gauss-Newton steps of the maps (B, K, 2, 3) on top of guesses (B, K, 2, H, W)."""
        guess = self._at_points(guesses)
        slopes = self._slopes()
        products = slopes.square().sum(dim=-1)
        squares = (self._terms[:, None] * self._terms).flatten(0, 1).T
        ridge = _DAMPING + stiffness * (torch.arange(3, device=maps.device) > 0)
        for _ in range(steps):
            cost, products_along = self._compare(guess + maps @ self._terms, slopes)
            weight = (1 - cost).square()
            pull = products_along * weight[:, :, None]
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
        """(..., 2, S) whole cells -> (..., S) rows of `_earlier`; the nearest ones outside."""
        x, y = points.clamp(self._last * 0, self._last).long().unbind(dim=-2)
        return y * self._width + x

    def _slopes(self) -> Tensor:
        """(B, 2, S, C): central differences along x and y."""
        side = torch.eye(2, device=self._points.device)[..., None]
        after, before = self._index(self._points + side), self._index(self._points - side)
        return (self._earlier[:, after] - self._earlier[:, before]) / 2

    def _compare(self, flow: Tensor, slopes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Flow (B, K, 2, S), cells of the full grid -> cost (B, K, S), difference along the slopes (B, K, 2, S)."""
        there = torch.nan_to_num(self._points + flow / self._cells, nan=-1.0)
        inside = ((there >= 0) & (there <= self._last)).all(dim=2)
        along = self._here[:, None][:, :0] if slopes is None else slopes
        square, difference = difference_at(self._here, self._later, there, along)
        relative = torch.nan_to_num(square / self._here.shape[-1] / self._variance, nan=torch.inf)
        share = _HALF_COST / (relative + _HALF_COST) * inside
        return 1 - share, difference


def _every(step: int, size: int, device: torch.device) -> Tensor:
    return torch.arange(min(step // 2, size - 1), size, step, device=device)


def _solve(normal: Tensor, pull: Tensor, ridge: Tensor) -> Tensor:
    """One Gauss-Newton step (B, K, 2, 3): x and y separately: what couples them is small, and the next step corrects
    it.

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


def map_terms(x: Tensor, y: Tensor, height: int, width: int) -> Tensor:
    """(3, ...): what a map's three columns are multiplied by at cell (x, y), of about one size."""
    scale = max(height, width)
    x, y = (x - (width - 1) / 2) / scale, (y - (height - 1) / 2) / scale
    return torch.stack([torch.ones_like(x), x, y])
