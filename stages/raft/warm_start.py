"""Where the iterations of a pair begin: for each cell the best of three guesses, judged by the pair's own features.

The first guess is zero. The second remembers nothing either: the camera's motion, one affine map for the whole
picture, found by aligning the two frames' features (Lucas and Kanade's iteration, inverse as in Baker and Matthews,
IJCV 2004, on features instead of grey values). The third is the last flow carried forward, itself corrected by such a
map, so that a camera that shakes does not spoil it. A guess is taken where it explains the features best; so what
the network once made up is forgotten as soon as the pictures contradict it.

Nothing here looks at a value on the host: it can be recorded in a CUDA graph.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from stages.kernels.forward_splat import forward_splat

_CHANNELS = 64
"""Of the features' 128 or 256: enough to align and to judge by, and less memory to read."""
_COARSE_LEVELS = (3, 2)
"""Aligned first, by a shift alone, on features averaged over 8 and 4 cells: finds shifts of up to 64 px."""
_LEAST_SIDE = 3
"""Cells; a coarse level smaller than this says nothing."""
_COARSE_STEPS = 2
_FINE_STEPS = 3
_ALIGN_POINTS = 600
_JUDGE_POINTS = 2500
_HALF_COST = 0.3
"""A squared difference of this share of the features' variance costs half of the most; unrelated features differ by
twice the variance."""
_DAMPING = 0.01
_STIFF = 1e3
"""Damping that leaves of a map its shift."""
_FRAME_WEIGHT = 2.0
"""How much the mean cost over the frame counts beside that of a cell's neighbourhood."""
_SOFTNESS = 0.0075
"""Difference in cost, by which the better of two guesses gets e times the other's weight."""
_CARRIED_PENALTY = 0.002
"""Added to the cost of the carried flow: of equals the guess that remembers nothing wins."""


class ChosenStart(NamedTuple):
    """Where the iterations begin."""

    flow: Tensor
    """(B, 2, H, W) float32 in cells, finite."""
    carried: Tensor
    """(B,) the share of the cells, 0 to 1, that begin at the flow carried forward."""


@torch.no_grad()
def choose_start(features1: Tensor, features2: Tensor, last_flow: Tensor | None = None) -> ChosenStart:
    """A start for the iterations from the earlier to the later frame of B pairs.

    Args:
        features1, features2: (B, C, H, W) of the earlier and the later frame, floating point.
        last_flow: (B, 2, H, W) in cells, the flow from the frame before the earlier one to it; NaN where there is
            none. None: nothing is carried.

    Raises:
        ValueError: shapes that do not fit.
    """
    _check(features1, features2, last_flow)
    earlier, later = _thin(features1), _thin(features2)
    batch, _, height, width = earlier.shape
    still = earlier.new_zeros(batch, 1, 2, height, width)
    bases = still if last_flow is None else torch.cat([still, forward_splat(last_flow).flow[:, None]], dim=1)
    guesses = torch.cat([still, bases + _expand(_align(earlier, later, bases), height, width)], dim=1)
    judged = _Alignment(earlier, later, 0, _JUDGE_POINTS)
    weights = judged.spread(_preference(judged.cost(guesses)))
    flow = (weights[:, :, None] * guesses).sum(dim=1)
    return ChosenStart(torch.where(torch.isfinite(flow), flow, 0.0), weights[:, 2:].sum(dim=1).mean(dim=(1, 2)))


def _check(features1: Tensor, features2: Tensor, last_flow: Tensor | None) -> None:
    if features1.ndim != 4 or 0 in features1.shape or features2.shape != features1.shape:
        raise ValueError(
            f"features1, features2: expected one shape (B, C, H, W), none of them 0; found "
            f"{tuple(features1.shape)} and {tuple(features2.shape)}"
        )
    expected = (features1.shape[0], 2, *features1.shape[2:])
    if last_flow is not None and tuple(last_flow.shape) != expected:
        raise ValueError(f"last_flow: expected shape {expected}, found {tuple(last_flow.shape)}")


def _thin(features: Tensor) -> Tensor:
    return features[:, :: max(1, features.shape[1] // _CHANNELS)].float().contiguous()


def _preference(cost: Tensor) -> Tensor:
    """(B, K, h, w) cost of each guess -> its weight there; they sum to 1. Neighbours and the whole frame are heard."""
    near = F.avg_pool2d(F.pad(cost, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    heard = near + _FRAME_WEIGHT * cost.mean(dim=(2, 3), keepdim=True)
    penalty = torch.tensor([0.0, 0.0, _CARRIED_PENALTY], device=cost.device)[: cost.shape[1], None, None]
    return torch.softmax(-(heard + penalty) / _SOFTNESS, dim=1)


def _align(earlier: Tensor, later: Tensor, guesses: Tensor) -> Tensor:
    """The affine map (B, K, 2, 3) that, added to each of K guesses (B, K, 2, H, W), fits the features best."""
    batch, count, _, height, width = guesses.shape
    none = guesses.new_zeros(batch, count, 2, 3)
    shift = none
    for level in _COARSE_LEVELS:
        if min(height, width) >> level >= _LEAST_SIDE:
            shift = _Alignment(earlier, later, level, _ALIGN_POINTS).improve(guesses, shift, _COARSE_STEPS, _STIFF)
    fine = _Alignment(earlier, later, 0, _ALIGN_POINTS)
    if shift is not none:
        better = fine.mean_cost(guesses, shift) < fine.mean_cost(guesses, none)
        shift = torch.where(better[..., None, None], shift, none)
    return fine.improve(guesses, shift, _FINE_STEPS, 0.0)


def _expand(maps: Tensor, height: int, width: int) -> Tensor:
    """Maps (B, K, 2, 3) -> the flow (B, K, 2, H, W) that they say, in cells."""
    y = torch.arange(height, device=maps.device, dtype=torch.float32)
    x = torch.arange(width, device=maps.device, dtype=torch.float32)
    terms = _terms(x.expand(height, width), y[:, None].expand(height, width), height, width)
    return torch.einsum("bkit,thw->bkihw", maps, terms)


def _terms(x: Tensor, y: Tensor, height: int, width: int) -> Tensor:
    """(3, ...): what a map's three columns are multiplied by at cell (x, y), of about one size."""
    scale = max(height, width)
    return torch.stack([torch.ones_like(x), (x - (width - 1) / 2) / scale, (y - (height - 1) / 2) / scale])


class _Alignment:
    """Two frames' features at one level of their pyramid, compared at points on a regular grid of the earlier one."""

    def __init__(self, earlier: Tensor, later: Tensor, level: int, points: int) -> None:
        self._cells = 2**level
        self._size = earlier.shape[-2:]
        if level:
            earlier, later = F.avg_pool2d(earlier, self._cells), F.avg_pool2d(later, self._cells)
        self._later = later
        height, width = later.shape[-2:]
        step = max(1, math.ceil(math.sqrt(height * width / points)))
        self._rows = torch.arange(step // 2 if height > step // 2 else 0, height, step, device=later.device)
        self._columns = torch.arange(step // 2 if width > step // 2 else 0, width, step, device=later.device)
        self._y, self._x = (v.flatten().float() for v in torch.meshgrid(self._rows, self._columns, indexing="ij"))
        centre = (self._cells - 1) / 2
        self._terms = _terms(self._x * self._cells + centre, self._y * self._cells + centre, *self._size)
        self._earlier = self._at_points(earlier)
        self._slopes = torch.stack([self._at_points(slope) for slope in _slopes(earlier)], dim=1)
        self._variance = later.flatten(2).var(dim=2, correction=0).mean(dim=1)[:, None, None].clamp(min=1e-12)

    def cost(self, flow: Tensor) -> Tensor:
        """(B, K, 2, H, W) in cells of the full grid -> (B, K, h, w), 0 to 1, at the points."""
        cost, _, _ = self._compare(self._at_points(flow) / self._cells)
        return cost.unflatten(-1, (len(self._rows), len(self._columns)))

    def mean_cost(self, guesses: Tensor, maps: Tensor) -> Tensor:
        """(B, K): of each guess with its map added."""
        return self._compare(self._guess(guesses) + self._mapped(maps))[0].mean(dim=-1)

    def improve(self, guesses: Tensor, maps: Tensor, steps: int, stiffness: float) -> Tensor:
        """Gauss-Newton steps of the maps (B, K, 2, 3) over guesses (B, K, 2, H, W)."""
        guess = self._guess(guesses)
        products = torch.einsum("bims,bjms->bijs", self._slopes, self._slopes)
        squares = torch.einsum("is,js->sij", self._terms, self._terms).flatten(1)
        ridge = torch.tensor([_DAMPING, _DAMPING + stiffness, _DAMPING + stiffness], device=maps.device)
        for _ in range(steps):
            _, difference, weight = self._compare(guess + self._mapped(maps))
            pull = torch.einsum("bims,bmks->bkis", self._slopes, difference) * weight[:, :, None]
            normal = (products[:, None] * weight[:, :, None, None]) @ squares
            normal = normal.unflatten(-1, (3, 3))
            maps = maps + self._cells * _solve(normal, pull @ self._terms.T, ridge)
        return maps

    def spread(self, values: Tensor) -> Tensor:
        """(B, 1, h, w) at the points -> (B, 1, H, W)."""
        return F.interpolate(values, self._size, mode="bilinear", align_corners=False)

    def _at_points(self, cells: Tensor) -> Tensor:
        return cells[..., self._rows[:, None], self._columns].flatten(-2)

    def _guess(self, guesses: Tensor) -> Tensor:
        pooled = guesses
        if self._cells > 1:
            pooled = F.avg_pool2d(guesses.flatten(0, 1), self._cells).unflatten(0, guesses.shape[:2]) / self._cells
        return self._at_points(pooled)

    def _mapped(self, maps: Tensor) -> Tensor:
        return maps @ self._terms / self._cells

    def _compare(self, flow: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Flow (B, K, 2, S) at the points -> cost (B, K, S), difference (B, C, K, S), weight in a fit (B, K, S)."""
        height, width = self._later.shape[-2:]
        x, y = self._x + flow[:, :, 0], self._y + flow[:, :, 1]
        inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
        grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
        there = F.grid_sample(self._later, grid, padding_mode="border", align_corners=False)
        difference = self._earlier[:, :, None] - there
        relative = difference.square().mean(dim=1) / self._variance
        cost = torch.where(inside, relative / (relative + _HALF_COST), 1.0)
        return cost, difference, torch.where(inside, (_HALF_COST / (relative + _HALF_COST)).square(), 0.0)


def _slopes(features: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences along x and y."""
    framed = F.pad(features, (1, 1, 1, 1), mode="replicate")
    along_x = (framed[..., 1:-1, 2:] - framed[..., 1:-1, :-2]) / 2
    along_y = (framed[..., 2:, 1:-1] - framed[..., :-2, 1:-1]) / 2
    return along_x, along_y


def _solve(normal: Tensor, pull: Tensor, ridge: Tensor) -> Tensor:
    """The six unknowns of each map.

    Args:
        normal: (B, K, 2, 2, 3, 3), symmetric: the blocks xx, xy, yx, yy.
        pull: (B, K, 2, 3).
        ridge: (3,) how much each term is damped, relative to its own weight.
    """
    xx, xy, yy = (normal[:, :, i, j] for i, j in ((0, 0), (0, 1), (1, 1)))
    xx, yy = (block + torch.diag_embed(_damped(block, ridge)) for block in (xx, yy))
    back = xy.transpose(-1, -2) @ _inverse(xx)
    pull_x, pull_y = pull[:, :, 0, :, None], pull[:, :, 1, :, None]
    along_y = _inverse(yy - back @ xy) @ (pull_y - back @ pull_x)
    along_x = _inverse(xx) @ (pull_x - xy @ along_y)
    return torch.stack([along_x, along_y], dim=2)[..., 0]


def _damped(block: Tensor, ridge: Tensor) -> Tensor:
    weights = block.diagonal(dim1=-2, dim2=-1)
    return ridge * weights + 1e-4 * weights.mean(dim=-1, keepdim=True) + 1e-9


def _inverse(matrix: Tensor) -> Tensor:
    """Of (..., 3, 3), from cross products of its rows: torch's own waits for the GPU to say that it succeeded."""
    cofactors = torch.linalg.cross(matrix.roll(-1, dims=-2), matrix.roll(-2, dims=-2), dim=-1)
    determinant = (matrix[..., 0, :] * cofactors[..., 0, :]).sum(dim=-1)[..., None, None]
    return cofactors.transpose(-1, -2) / determinant
