"""What variational refinement means, in torch alone, on any device: the twin of its kernels."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class VariationalRules:
    """Weights of the energy, and iterations of its minimisation."""

    smoothness: float
    """Weight of a step of the flow between neighbours against a residual, both in px."""
    gradient_floor: float
    """Grey levels per px^2: where the second derivatives are smaller, as noise's are, the image says little."""
    residual_floor_px: float
    """Shorter residuals are squared, longer ones count by their length."""
    step_floor_px: float
    """The same for steps of the flow between neighbours."""
    warps: int
    """How often the later image is warped by the flow so far, and the energy made anew."""
    reweightings: int
    """How often, for each, the lengths are taken from the flow so far."""
    sweeps: int
    """Of red-black successive over-relaxation, for each of these."""
    relaxation: float
    """1: Gauss-Seidel; below 2."""


class _MotionTensor(NamedTuple):
    """The squared residual of an increment (u, v): uu u^2 + 2 uv u v + vv v^2 + 2 u0 u + 2 v0 v + constant.
    Each (B, 1, H, W)."""

    uu: Tensor
    uv: Tensor
    vv: Tensor
    u0: Tensor
    v0: Tensor
    constant: Tensor


def variational_refinement_reference(luma1: Tensor, luma2: Tensor, flow_px: Tensor, rules: VariationalRules) -> Tensor:
    """As `raftline.kernels.variational_refinement.variational_refinement`."""
    _, _, height, width = flow_px.shape
    red = (torch.arange(height, device=flow_px.device)[:, None] + torch.arange(width, device=flow_px.device)) % 2 == 0
    for _ in range(rules.warps):
        tensor = _linearised(luma1, luma2, flow_px, rules)
        change = torch.zeros_like(flow_px)
        for _ in range(rules.reweightings):
            change = _relaxed(tensor, flow_px, change, red, rules)
        flow_px = flow_px + change
    return flow_px.contiguous(memory_format=torch.channels_last)


def _linearised(luma1: Tensor, luma2: Tensor, flow_px: Tensor, rules: VariationalRules) -> _MotionTensor:
    """How the gradients differ once the later image is warped, and how that changes with the flow."""
    warped, seen = _warped(luma1, luma2, flow_px)
    mean, difference = 0.5 * (luma1 + warped), warped - luma1
    mean, difference = (F.pad(part, (2, 2, 2, 2), mode="replicate") for part in (mean, difference))
    along_x, along_y = _central(mean)
    (xx, xy), (_, yy) = _central(along_x), _central(along_y)
    by_x, by_y = (part[..., 1:-1, 1:-1] for part in _central(difference))
    floor = rules.gradient_floor**2
    weight_x, weight_y = seen / (xx * xx + xy * xy + floor), seen / (xy * xy + yy * yy + floor)
    return _MotionTensor(
        weight_x * xx * xx + weight_y * xy * xy,
        weight_x * xx * xy + weight_y * xy * yy,
        weight_x * xy * xy + weight_y * yy * yy,
        weight_x * xx * by_x + weight_y * xy * by_y,
        weight_x * xy * by_x + weight_y * yy * by_y,
        weight_x * by_x * by_x + weight_y * by_y * by_y,
    )


def _warped(luma1: Tensor, luma2: Tensor, flow_px: Tensor) -> tuple[Tensor, Tensor]:
    """The later image where the flow leads, bilinear, and 1.0; where that is outside the earlier one, and 0.0."""
    _, _, height, width = flow_px.shape
    x = torch.arange(width, device=flow_px.device, dtype=torch.float32) + flow_px[:, 0]
    y = torch.arange(height, device=flow_px.device, dtype=torch.float32)[:, None] + flow_px[:, 1]
    inside = ((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1))[:, None]
    # Corners not aligned: a side of one pixel has no corners to align.
    where = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    warped = F.grid_sample(luma2, where, padding_mode="border", align_corners=False)
    return torch.where(inside, warped, luma1), inside.float()


def _central(plane: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences along x and y, a border of 1 px smaller."""
    along_x = 0.5 * (plane[..., 1:-1, 2:] - plane[..., 1:-1, :-2])
    along_y = 0.5 * (plane[..., 2:, 1:-1] - plane[..., :-2, 1:-1])
    return along_x, along_y


def _relaxed(tensor: _MotionTensor, flow_px: Tensor, change: Tensor, red: Tensor, rules: VariationalRules) -> Tensor:
    """The change of the flow, after sweeps of the linear equations that the lengths so far make."""
    right, down = _conductances(flow_px + change, rules)
    left, up = F.pad(right[..., :-1], (1, 0)), F.pad(down[..., :-1, :], (0, 0, 1, 0))
    u, v = change[:, :1], change[:, 1:]
    residual = tensor.uu * u * u + 2 * tensor.uv * u * v + tensor.vv * v * v + 2 * (tensor.u0 * u + tensor.v0 * v)
    trust = ((residual + tensor.constant).clamp(min=0) + rules.residual_floor_px**2).rsqrt()
    total = right + left + down + up
    # Each pixel's two equations are solved together; an image of one pixel has none.
    held = total + 1e-9
    uu, uv, vv = held + trust * tensor.uu, trust * tensor.uv, held + trust * tensor.vv
    determinant = uu * vv - uv * uv

    def pull(field: Tensor) -> Tensor:
        return (
            right * F.pad(field[..., 1:], (0, 1))
            + left * F.pad(field[..., :-1], (1, 0))
            + down * F.pad(field[..., 1:, :], (0, 0, 0, 1))
            + up * F.pad(field[..., :-1, :], (0, 0, 1, 0))
        )

    known = pull(flow_px) - total * flow_px - trust * torch.cat([tensor.u0, tensor.v0], dim=1)
    for _ in range(rules.sweeps):
        for turn in (red, ~red):
            wanted = known + pull(change)
            along_u = (vv * wanted[:, :1] - uv * wanted[:, 1:]) / determinant
            along_v = (uu * wanted[:, 1:] - uv * wanted[:, :1]) / determinant
            moved = change + rules.relaxation * (torch.cat([along_u, along_v], dim=1) - change)
            change = torch.where(turn, moved, change)
    return change


def _conductances(flow_px: Tensor, rules: VariationalRules) -> tuple[Tensor, Tensor]:
    """(B, 1, H, W) each: what holds a pixel to its neighbour to the right, and below; 0 beyond the border."""
    steps = torch.cat(_central(F.pad(flow_px, (1, 1, 1, 1), mode="replicate")), dim=1)
    weak = 0.5 * rules.smoothness * (steps.square().sum(dim=1, keepdim=True) + rules.step_floor_px**2).rsqrt()
    right = F.pad(weak[..., 1:] + weak[..., :-1], (0, 1))
    down = F.pad(weak[..., 1:, :] + weak[..., :-1, :], (0, 0, 0, 1))
    return right, down
