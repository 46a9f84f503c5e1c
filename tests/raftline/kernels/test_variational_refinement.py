"""Variational refinement: what it is for, the CPU kernel against the plain twin, and the checks at its door."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from raftline.flow.variational import RULES
from raftline.kernels.variational_refinement import VariationalRules, variational_refinement
from raftline.kernels.variational_refinement.reference import variational_refinement_reference

MORE = replace(RULES, warps=6)

# Sums of float32 in another order; a residual's length near the floor turns 1e-6 px into some 1e-4.
SAME_FLOW_PX = 2e-3

# The twin's coordinates are scaled to -1..1 and back, which moves them by 1e-6 px and makes 1e-5 grey levels of
# difference; at a border, where little holds the flow, that is 0.01 px.
NO_MOTION_PX = 0.02

Refine = Callable[[Tensor, Tensor, Tensor, VariationalRules], Tensor]
implementations = pytest.mark.parametrize(
    "refine", [variational_refinement, variational_refinement_reference], ids=["kernel", "twin"]
)


def textured(height: int, width: int, seed: int = 0, batch: int = 1) -> Tensor:
    """(B, 1, H, W): smooth enough to be interpolated, with structure everywhere."""
    noise = torch.randn(batch, 1, height + 8, width + 8, generator=torch.Generator().manual_seed(seed))
    blurred = F.avg_pool2d(F.avg_pool2d(noise, 5, stride=1), 5, stride=1)
    return (128 + 200 * blurred).clamp(0, 255)


def shifted(luma: Tensor, x_px: float, y_px: float) -> Tensor:
    """What the image is after everything moved so far; what comes in repeats the border."""
    _, _, height, width = luma.shape
    x = torch.arange(width) - x_px
    y = torch.arange(height) - y_px
    where = torch.stack(torch.meshgrid((2 * x + 1) / width - 1, (2 * y + 1) / height - 1, indexing="xy"), dim=-1)
    return F.grid_sample(luma, where[None], mode="bicubic", padding_mode="border", align_corners=False)


def constant(x_px: float, y_px: float, like: Tensor) -> Tensor:
    """(B, 2, H, W)."""
    return torch.tensor([x_px, y_px]).view(1, 2, 1, 1).expand(len(like), 2, *like.shape[2:]).contiguous()


def error_px(flow_px: Tensor, truth_px: Tensor, margin: int = 6) -> float:
    inner = slice(margin, -margin)
    return float((flow_px - truth_px)[..., inner, inner].norm(dim=1).mean())


@implementations
@pytest.mark.parametrize("motion", [(0.4, -0.3), (3.6, 2.2), (-8.3, 0.7)])
def test_half_a_pixel_of_error_is_gone(refine: Refine, motion: tuple[float, float]) -> None:
    luma = textured(64, 80)
    later = shifted(luma, *motion)
    truth = constant(*motion, luma)
    start = truth + constant(0.4, -0.3, luma)
    assert error_px(refine(luma, later, start, MORE), truth, margin=16) < 0.1


@implementations
def test_a_flow_that_is_right_stays(refine: Refine) -> None:
    luma = textured(48, 64)
    start = torch.zeros(1, 2, 48, 64)
    torch.testing.assert_close(refine(luma, luma, start, RULES), start, atol=NO_MOTION_PX, rtol=0)


@implementations
def test_a_change_of_light_is_no_motion(refine: Refine) -> None:
    luma = (0.7 * textured(48, 64)).round()
    start = torch.zeros(1, 2, 48, 64)
    torch.testing.assert_close(refine(luma, luma + 40, start, RULES), start, atol=NO_MOTION_PX, rtol=0)


@implementations
def test_where_there_is_nothing_to_see_the_flow_is_that_of_the_neighbours(refine: Refine) -> None:
    luma = textured(64, 80)
    luma[..., 28:36, 36:44] = 128.0
    later = shifted(luma, 1.0, 0.0)
    start = constant(1.0, 0.0, luma)
    start[:, 0, 28:36, 36:44] += 0.8
    found = refine(luma, later, start, replace(MORE, warps=12))
    assert (found - constant(1.0, 0.0, luma))[..., 28:36, 36:44].norm(dim=1).mean() < 0.3


@implementations
def test_an_edge_of_the_motion_comes_to_lie_where_the_image_says(refine: Refine) -> None:
    still, moving = textured(64, 96), textured(64, 96, seed=1)
    right = torch.arange(96) >= 48
    luma = torch.where(right, moving, still)
    later = torch.where(torch.arange(96) >= 50, shifted(moving, 2.0, 0.0), still)
    truth = torch.where(right, constant(2.0, 0.0, luma), torch.zeros(1, 2, 64, 96))
    blurred = F.avg_pool2d(F.pad(truth, (6, 6, 0, 0), mode="replicate"), (1, 13), stride=1)
    found = refine(luma, later, blurred, MORE)
    assert error_px(found, truth) < 0.5 * error_px(blurred, truth)


@implementations
def test_what_leaves_the_image_follows_its_neighbours(refine: Refine) -> None:
    luma = textured(48, 64)
    later = shifted(luma, 6.3, 0.0)
    start = constant(6.0, 0.0, luma)
    found = refine(luma, later, start, replace(MORE, warps=10))
    assert (found[:, 0, 8:-8, -6:] - 6.3).abs().mean() < 0.1


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (2, 3), (3, 2), (37, 61), (130, 70)])
@pytest.mark.parametrize("threads", [1, 3])
def test_the_kernel_is_its_twin(size: tuple[int, int], threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        luma = textured(*size, batch=2)
        later = textured(*size, seed=1, batch=2)
        flow = 1 + 0.3 * torch.randn(2, 2, *size, generator=torch.Generator().manual_seed(2))
        found = variational_refinement(luma, later, flow, RULES)
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(
        found, variational_refinement_reference(luma, later, flow, RULES), atol=SAME_FLOW_PX, rtol=0
    )


def test_bands_of_threads_are_as_if_there_were_one() -> None:
    luma, later = textured(150, 40), textured(150, 40, seed=1)
    flow = torch.randn(1, 2, 150, 40, generator=torch.Generator().manual_seed(2))
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append(variational_refinement(luma, later, flow, RULES))
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=0)
    torch.testing.assert_close(found[0], found[2], atol=1e-5, rtol=0)


@implementations
def test_a_flow_that_leads_far_outside_is_smoothed_and_nothing_else(refine: Refine) -> None:
    luma = textured(20, 24)
    for far in (1e3, -1e9):
        start = constant(far, 0.0, luma)
        torch.testing.assert_close(refine(luma, luma, start, RULES), start)


def test_the_result_is_one_stretch_of_pixels() -> None:
    luma = textured(20, 24, batch=2)
    found = variational_refinement(luma, luma, torch.zeros(2, 2, 20, 24), RULES)
    assert found.permute(0, 2, 3, 1).is_contiguous()


def test_what_does_not_fit_is_refused_with_what_was_found() -> None:
    luma, flow = torch.zeros(1, 1, 5, 7), torch.zeros(1, 2, 5, 7)
    with pytest.raises(ValueError, match=r"luma2: expected shape \(1, 1, 5, 7\), found \(1, 1, 5, 6\)"):
        variational_refinement(luma, torch.zeros(1, 1, 5, 6), flow, RULES)
    with pytest.raises(ValueError, match=r"flow_px: expected float32, found torch.float16"):
        variational_refinement(luma, luma, flow.half(), RULES)
    with pytest.raises(ValueError, match=r"expected shape \(B, 2, H, W\), none of them 0; found \(1, 2, 0, 7\)"):
        variational_refinement(luma, luma, torch.zeros(1, 2, 0, 7), RULES)
