"""Carrying a flow forward."""

from __future__ import annotations

import pytest
import torch

from stages.kernels.forward_splat import forward_splat


def test_a_zero_flow_stays_zero() -> None:
    assert torch.equal(forward_splat(torch.zeros(2, 2, 5, 7)), torch.zeros(2, 2, 5, 7))


def test_a_uniform_flow_stays_uniform_and_fills_what_it_uncovers() -> None:
    flow = torch.zeros(1, 2, 12, 16)
    flow[:, 0], flow[:, 1] = 3.2, -1.7
    torch.testing.assert_close(forward_splat(flow), flow)


def test_a_moving_patch_takes_its_flow_along() -> None:
    flow = torch.zeros(1, 2, 16, 16)
    flow[0, 0, 4:8, 2:6] = 5.0
    carried = forward_splat(flow)
    assert (carried[0, 0, 4:8, 7:11] == 5.0).all()
    assert (carried[0, 0, :4] == 0).all() and (carried[0, 0, 8:] == 0).all()


def test_the_faster_of_two_that_meet_stays() -> None:
    flow = torch.zeros(1, 2, 8, 8)
    flow[0, 0, 3, 1] = 3.0
    flow[0, 0, 3, 6] = -2.0
    assert forward_splat(flow)[0, 0, 3, 4] == 3.0


def test_cells_that_leave_the_frame_are_dropped() -> None:
    flow = torch.zeros(1, 2, 6, 6)
    flow[0, 0, :, 5] = 40.0
    carried = forward_splat(flow)
    # Column 5 is a hole now, filled from its still neighbours.
    assert carried.abs().max() == 0


def test_nothing_lands_where_all_leave() -> None:
    assert torch.equal(forward_splat(torch.full((1, 2, 4, 4), 100.0)), torch.zeros(1, 2, 4, 4))


def test_undefined_flow_is_dropped_and_never_carried() -> None:
    flow = torch.ones(1, 2, 8, 8)
    flow[0, 0, 2, 2] = float("nan")
    flow[0, 1, 5, 5] = float("inf")
    torch.testing.assert_close(forward_splat(flow), torch.ones(1, 2, 8, 8))


def test_the_result_is_the_same_each_time_and_for_each_of_a_batch() -> None:
    flow = 6 * torch.randn(1, 2, 33, 47, generator=torch.Generator().manual_seed(0))
    once = forward_splat(flow)
    assert torch.equal(once, forward_splat(flow))
    assert torch.equal(forward_splat(torch.cat([flow * 0, flow]))[1:], once)
    assert torch.isfinite(once).all()


def test_a_single_cell_is_allowed() -> None:
    assert torch.equal(forward_splat(torch.zeros(1, 2, 1, 1)), torch.zeros(1, 2, 1, 1))


@pytest.mark.parametrize(
    ("flow", "message"),
    [
        (torch.zeros(2, 5, 5), r"flow: expected shape \(B, 2, H, W\), none of them 0; found \(2, 5, 5\)"),
        (torch.zeros(1, 3, 5, 5), r"found \(1, 3, 5, 5\)"),
        (torch.zeros(0, 2, 5, 5), r"found \(0, 2, 5, 5\)"),
        (torch.zeros(1, 2, 5, 5, dtype=torch.int64), "expected a floating-point dtype, found torch.int64"),
    ],
)
def test_a_wrong_argument_is_refused_with_what_was_found(flow: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        forward_splat(flow)
