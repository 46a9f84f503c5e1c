"""Bilinear upsampling: the CPU kernel against the plain twin, and the checks at its door."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from raftline.kernels.bilinear_upsample import bilinear_upsample, reference
from raftline.kernels.crop import Crop
from tests.raftline.kernels.upsampling import SIZES, crops, flow_and_mask

# A coordinate is off by a rounding of up to 100 cells, times a slope of up to 80 px per cell.
TOLERANCE_PX = 1e-3


@pytest.mark.parametrize("size", SIZES)
def test_the_cpu_kernel_is_its_plain_twin(size: tuple[int, int, int]) -> None:
    flow, _ = flow_and_mask(*size)
    expected = reference.bilinear_upsample(flow)
    for crop in crops(*size[1:]):
        found = bilinear_upsample(flow.contiguous(memory_format=torch.channels_last), crop)
        torch.testing.assert_close(found, crop.of(expected), atol=TOLERANCE_PX, rtol=0)
        assert found.permute(0, 2, 3, 1).is_contiguous()
    torch.testing.assert_close(bilinear_upsample(flow), expected, atol=TOLERANCE_PX, rtol=0)


def test_the_corners_of_the_grid_lie_on_the_corners_of_the_image() -> None:
    flow, _ = flow_and_mask(1, 5, 7)
    corners = bilinear_upsample(flow)[..., :: 8 * 5 - 1, :: 8 * 7 - 1]
    # As the tolerance above.
    torch.testing.assert_close(corners, 8 * flow[..., ::4, ::6], atol=TOLERANCE_PX, rtol=0)


def test_flow_of_half_precision_is_the_rounded_flow() -> None:
    flow, _ = flow_and_mask(1, 5, 6)
    assert torch.equal(bilinear_upsample(flow, dtype=torch.float16), bilinear_upsample(flow).half())


def test_gradients_reach_the_flow() -> None:
    flow = flow_and_mask(1, 3, 4)[0].requires_grad_()
    bilinear_upsample(flow, Crop(2, 3, 20, 21)).square().sum().backward()
    assert flow.grad is not None and flow.grad.abs().sum() > 0


FLOW = torch.zeros(1, 2, 3, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((FLOW[:, :1],), r"flow: expected shape \(B, 2, H, W\), none of them 0; found \(1, 1, 3, 4\)"),
        ((FLOW.double(),), "flow: expected float32, found torch.float64"),
        ((FLOW, None, torch.bfloat16), "dtype: expected float32 or float16, found torch.bfloat16"),
        ((FLOW, Crop(0, 4, 24, 32)), r"crop: expected a part of 24 rows and 32 columns, found .*left=4"),
    ],
)
def test_a_wrong_argument_is_refused_with_what_was_found(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bilinear_upsample(*arguments)
