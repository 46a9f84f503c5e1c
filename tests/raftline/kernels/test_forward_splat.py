"""Carrying a flow forward: its meaning, the CPU kernel against the plain twin, and the checks at its door."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from raftline.kernels.forward_splat import forward_splat, reference

implementations = pytest.mark.parametrize("splat", [forward_splat, reference.forward_splat], ids=["kernel", "twin"])
Splat = Callable[..., reference.Carried]


@implementations
def test_a_zero_flow_stays_zero(splat: Splat) -> None:
    carried = splat(torch.zeros(2, 2, 5, 7))
    assert torch.equal(carried.flow, torch.zeros(2, 2, 5, 7))
    assert carried.values is None and carried.landed.all()


@implementations
def test_a_uniform_flow_stays_uniform_and_fills_what_it_uncovers(splat: Splat) -> None:
    flow = torch.zeros(1, 2, 12, 16)
    flow[:, 0], flow[:, 1] = 3.2, -1.7
    carried = splat(flow)
    torch.testing.assert_close(carried.flow, flow)
    assert carried.landed[0, 0, :10, 3:].all()
    assert not carried.landed[0, 0, 10:].any() and not carried.landed[0, 0, :, :3].any()


@implementations
def test_a_moving_patch_takes_its_flow_along(splat: Splat) -> None:
    flow = torch.zeros(1, 2, 16, 16)
    flow[0, 0, 4:8, 2:6] = 5.0
    carried = splat(flow).flow
    assert (carried[0, 0, 4:8, 7:11] == 5.0).all()
    assert (carried[0, 0, :4] == 0).all() and (carried[0, 0, 8:] == 0).all()


@implementations
def test_the_faster_of_two_that_meet_stays(splat: Splat) -> None:
    flow = torch.zeros(1, 2, 8, 8)
    flow[0, 0, 3, 1] = 3.0
    flow[0, 0, 3, 6] = -2.0
    assert splat(flow).flow[0, 0, 3, 4] == 3.0


@implementations
def test_the_better_matched_of_two_that_meet_stays(splat: Splat) -> None:
    flow = torch.zeros(1, 2, 8, 8)
    flow[0, 0, 3, 1] = 3.0
    flow[0, 0, 3, 6] = -2.0
    error = torch.full((1, 1, 8, 8), 5.0)
    error[0, 0, 3, 1] = 4.5
    for least, winner in ((4.0, -2.0), (-1.0, -2.0), (float("nan"), 3.0), (float("inf"), 3.0)):
        error[0, 0, 3, 6] = least
        assert splat(flow, error).flow[0, 0, 3, 4] == winner


@implementations
def test_of_equals_the_last_in_reading_order_stays(splat: Splat) -> None:
    flow = torch.zeros(1, 2, 7, 7)
    flow[0, 0, 3, 1], flow[0, 0, 3, 5], flow[0, 1, 5, 3] = 2.0, -2.0, -2.0
    assert splat(flow).flow[0, :, 3, 3].tolist() == [0.0, -2.0]
    assert splat(flow, torch.full((1, 1, 7, 7), -0.0)).flow[0, :, 3, 3].tolist() == [0.0, -2.0]
    alike = torch.zeros(1, 1, 7, 7)
    alike[0, 0, 5, 3] = -0.0
    assert splat(flow, alike).flow[0, :, 3, 3].tolist() == [0.0, -2.0]


@implementations
def test_values_go_where_their_cell_goes(splat: Splat) -> None:
    flow = torch.zeros(1, 2, 6, 9)
    flow[0, 0], flow[0, 1] = 2.0, 1.0
    values = torch.arange(3 * 54.0).view(1, 3, 6, 9).half()
    carried = splat(flow, values=values)
    assert carried.values is not None and carried.values.dtype is torch.float16
    assert torch.equal(carried.values[..., 1:, 2:], values[..., :-1, :-2])
    assert torch.isfinite(carried.values).all()


@implementations
def test_cells_that_leave_the_frame_are_dropped(splat: Splat) -> None:
    flow = torch.zeros(1, 2, 6, 6)
    flow[0, 0, :, 5] = 40.0
    # Column 5 is a hole now, filled from its still neighbours.
    assert splat(flow).flow.abs().max() == 0


@implementations
def test_nothing_lands_where_all_leave(splat: Splat) -> None:
    carried = splat(torch.full((1, 2, 4, 5), 100.0))
    assert torch.equal(carried.flow, torch.zeros(1, 2, 4, 5))
    assert not carried.landed.any()


@implementations
def test_undefined_flow_and_values_are_dropped_and_never_carried(splat: Splat) -> None:
    flow, values = torch.ones(1, 2, 8, 8), torch.ones(1, 1, 8, 8)
    flow[0, 0, 2, 2] = float("nan")
    flow[0, 1, 5, 5] = float("inf")
    values[0, 0, 6, 1] = -float("inf")
    carried = splat(flow, values=values)
    torch.testing.assert_close(carried.flow, torch.ones(1, 2, 8, 8))
    assert carried.values is not None
    torch.testing.assert_close(carried.values, torch.ones(1, 1, 8, 8))
    assert not carried.landed[0, 0, 3, 3] and not carried.landed[0, 0, 6, 6] and not carried.landed[0, 0, 7, 2]


@implementations
def test_the_result_is_the_same_each_time_and_for_each_of_a_batch(splat: Splat) -> None:
    flow = 6 * torch.randn(1, 2, 33, 47, generator=torch.Generator().manual_seed(0))
    once = splat(flow)
    assert torch.equal(once.flow, splat(flow).flow)
    assert torch.equal(splat(torch.cat([flow * 0, flow])).flow[1:], once.flow)
    assert torch.isfinite(once.flow).all()


def test_a_flow_that_wants_gradients_is_carried_without_them() -> None:
    flow = random_splat(1, 9, 13)[0]
    expected = forward_splat(flow).flow
    carried = forward_splat(flow.requires_grad_()).flow
    assert torch.equal(carried, expected) and not carried.requires_grad


@implementations
def test_a_single_cell_is_allowed(splat: Splat) -> None:
    assert torch.equal(splat(torch.zeros(1, 2, 1, 1)).flow, torch.zeros(1, 2, 1, 1))


def random_splat(batch: int, height: int, width: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Flow with collisions, exits, halves and NaN; errors with ties and NaN; three values."""
    generator = torch.Generator().manual_seed(seed)
    flow = 4 * torch.randn(batch, 2, height, width, generator=generator)
    flow.view(-1)[::3] = (2 * flow.view(-1)[::3]).round() / 2
    flow.view(-1)[::29] = float("nan")
    flow.view(-1)[::31] = 1e30
    error = torch.randn(batch, 1, height, width, generator=generator).round()
    error.view(-1)[::7] = float("nan")
    return flow, error, torch.randn(batch, 3, height, width, generator=generator)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(1, 16, 16), (2, 9, 13), (1, 1, 9), (1, 8, 1), (3, 17, 31), (1, 64, 65)])
def test_the_cpu_kernel_is_its_plain_twin(size: tuple[int, int, int], layout: torch.memory_format) -> None:
    flow, error, values = (tensor.contiguous(memory_format=layout) for tensor in random_splat(*size))
    for given in ((None, None), (error, None), (error, values), (None, values)):
        found, expected = forward_splat(flow, *given), reference.forward_splat(flow, *given)
        assert torch.equal(found.landed, expected.landed)
        # The order of the sums in a mean and in an interpolation differs: a few roundings of values up to 20.
        torch.testing.assert_close(found.flow, expected.flow, atol=1e-5, rtol=1e-5)
        if expected.values is not None:
            torch.testing.assert_close(found.values, expected.values, atol=1e-5, rtol=1e-5)
        landed = expected.landed.expand_as(expected.flow)
        assert torch.equal(found.flow[landed], expected.flow[landed])


ONE = torch.zeros(1, 2, 5, 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.zeros(2, 5, 5),), r"flow: expected shape \(B, 2, H, W\), none of them 0; found \(2, 5, 5\)"),
        ((torch.zeros(1, 3, 5, 5),), r"found \(1, 3, 5, 5\)"),
        ((torch.zeros(0, 2, 5, 5),), r"found \(0, 2, 5, 5\)"),
        ((torch.zeros(1, 2, 5, 5).long(),), "flow: expected a floating-point dtype, found torch.int64"),
        ((ONE, ONE), r"error: expected shape \(1, 1, 5, 5\), found \(1, 2, 5, 5\)"),
        ((ONE, ONE[:, :1].long()), "error: expected a floating-point dtype, found torch.int64"),
        ((ONE, ONE[:, :1].to("meta")), "error: on meta, but the flow is on cpu"),
        ((ONE, None, ONE[..., :4]), r"values: expected shape \(1, V, 5, 5\).* found \(1, 2, 5, 4\)"),
        ((ONE, None, ONE[:, :0]), r"values: expected shape .*V at least 1; found \(1, 0, 5, 5\)"),
        ((ONE, None, ONE.int()), "values: expected a floating-point dtype, found torch.int32"),
    ],
)
def test_a_wrong_argument_is_refused_with_what_was_found(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        forward_splat(*arguments)
