"""Convex upsampling: the CPU kernel against the plain twin, gradients, and the checks at its door."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from raftline.kernels.convex_upsample import convex_upsample, reference
from raftline.kernels.crop import Crop
from tests.raftline.kernels.upsampling import SIZES, crops, flow_and_mask

# Both compute in float32: a few roundings of values up to 100 px.
TOLERANCE_PX = 5e-5


@pytest.mark.parametrize("size", SIZES)
def test_the_cpu_kernel_is_its_plain_twin(size: tuple[int, int, int]) -> None:
    flow, mask = flow_and_mask(*size)
    expected = reference.convex_upsample(flow, mask)
    for crop in crops(*size[1:]):
        found = convex_upsample(flow, mask, crop)
        torch.testing.assert_close(found, crop.of(expected), atol=TOLERANCE_PX, rtol=0)
        assert found.permute(0, 2, 3, 1).is_contiguous()
    torch.testing.assert_close(convex_upsample(flow, mask), expected, atol=TOLERANCE_PX, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_masks_of_half_precision_are_read_as_they_are(dtype: torch.dtype) -> None:
    flow, mask = flow_and_mask(1, 5, 6)
    found = convex_upsample(flow, mask.to(dtype))
    torch.testing.assert_close(found, reference.convex_upsample(flow, mask.to(dtype)), atol=TOLERANCE_PX, rtol=0)


def test_any_memory_layout_is_the_same_numbers() -> None:
    flow, mask = flow_and_mask(2, 5, 6)
    expected = convex_upsample(flow, mask)
    assert torch.equal(convex_upsample(flow.contiguous(memory_format=torch.channels_last), mask.contiguous()), expected)
    wide = torch.cat([mask, mask], dim=3)
    assert torch.equal(convex_upsample(flow, wide[..., 6:]), expected)


def test_threads_share_the_cells() -> None:
    flow, mask = flow_and_mask(2, 23, 31)
    expected = convex_upsample(flow, mask)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(5)
        assert torch.equal(convex_upsample(flow, mask), expected)
    finally:
        torch.set_num_threads(threads)


def test_flow_of_half_precision_is_the_rounded_flow() -> None:
    flow, mask = flow_and_mask(1, 5, 6)
    found = convex_upsample(flow, mask, dtype=torch.float16)
    assert torch.equal(found, convex_upsample(flow, mask).half())
    assert found.permute(0, 2, 3, 1).is_contiguous()


def test_an_undefined_weight_makes_its_own_pixel_undefined_and_no_other() -> None:
    flow, mask = flow_and_mask(1, 5, 6)
    mask[0, 4 * 64 + 2 * 8 + 3, 1, 2] = float("nan")
    for found in (convex_upsample(flow, mask), reference.convex_upsample(flow, mask)):
        undefined = found.isnan()
        assert undefined.sum() == 2 and undefined[0, :, 8 + 2, 2 * 8 + 3].all()


def test_weights_of_minus_infinity_leave_their_neighbour_out() -> None:
    flow, mask = flow_and_mask(1, 4, 4)
    mask.view(1, 9, 64, 4, 4)[:, :8] = -float("inf")
    found = convex_upsample(flow, mask)
    expected = torch.zeros(1, 2, 4, 4)
    expected[..., :3, :3] = flow[..., 1:, 1:]  # the ninth neighbour lies below and to the right
    torch.testing.assert_close(found, 8 * expected.repeat_interleave(8, 2).repeat_interleave(8, 3))


def test_gradients_reach_the_flow_and_the_mask() -> None:
    flow, mask = (tensor.requires_grad_() for tensor in flow_and_mask(1, 3, 4))
    crop = Crop(2, 3, 20, 21)
    found = convex_upsample(flow, mask, crop)
    found.square().sum().backward()
    assert flow.grad is not None and mask.grad is not None
    expected = torch.autograd.grad(crop.of(reference.convex_upsample(flow, mask)).square().sum(), (flow, mask))
    assert torch.equal(flow.grad, expected[0]) and torch.equal(mask.grad, expected[1])
    assert flow.grad.abs().sum() > 0 and mask.grad.abs().sum() > 0


FLOW, MASK = torch.zeros(1, 2, 3, 4), torch.zeros(1, 576, 3, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((FLOW[0], MASK), r"flow: expected shape \(B, 2, H, W\), none of them 0; found \(2, 3, 4\)"),
        ((FLOW[:0], MASK[:0]), r"flow: .*none of them 0; found \(0, 2, 3, 4\)"),
        ((FLOW.half(), MASK), "flow: expected float32, found torch.float16"),
        ((FLOW, MASK[:, :64]), r"mask: expected shape \(1, 576, 3, 4\), found \(1, 64, 3, 4\)"),
        ((FLOW, MASK[..., :3]), r"mask: expected shape \(1, 576, 3, 4\), found \(1, 576, 3, 3\)"),
        ((FLOW, MASK.double()), "mask: expected float32, float16 or bfloat16, found torch.float64"),
        ((FLOW, MASK.to("meta")), "mask: on meta, but the flow is on cpu"),
        ((FLOW, MASK, None, torch.float64), "dtype: expected float32 or float16, found torch.float64"),
        ((FLOW, MASK, Crop(1, 0, 24, 32)), r"crop: expected a part of 24 rows and 32 columns, found .*top=1"),
        ((FLOW, MASK, Crop(0, -1, 8, 8)), "crop: expected a part of .*left=-1"),
        ((FLOW, MASK, Crop(0, 0, 0, 8)), "crop: expected a part of .*height=0"),
    ],
)
def test_a_wrong_argument_is_refused_with_what_was_found(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        convex_upsample(*arguments)
