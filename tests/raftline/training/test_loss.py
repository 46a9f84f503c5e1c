"""The arithmetic of the sequence loss and the end-point error."""

from __future__ import annotations

import pytest
import torch

from raftline.training.loss import MAX_FLOW_PX, end_point_error, sequence_loss


def flow(u: float, v: float, height: int = 2, width: int = 3) -> torch.Tensor:
    return torch.tensor([u, v], dtype=torch.float32).view(1, 2, 1, 1).repeat(1, 1, height, width)


EVERYWHERE = torch.ones(1, 2, 3, dtype=torch.bool)


def test_later_iterations_count_more_by_gamma() -> None:
    flows = [flow(4, 0), flow(2, 0), flow(1, 1)]
    # Mean over both components of |flow - 0|: 2, 1 and 1.
    assert float(sequence_loss(flows, flow(0, 0), EVERYWHERE, 0.5)) == pytest.approx(0.25 * 2 + 0.5 * 1 + 1)


def test_only_known_pixels_count_and_what_is_not_known_may_be_nan() -> None:
    truth = flow(1, 0)
    truth[..., 0] = torch.nan
    valid = EVERYWHERE.clone()
    valid[..., 0] = False
    estimate = flow(3, 0).requires_grad_()
    loss = sequence_loss([estimate], truth, valid, 0.8)
    assert float(loss.detach()) == pytest.approx(1.0)  # |3 - 1| and |0 - 0|
    loss.backward()
    assert estimate.grad is not None
    assert torch.isfinite(estimate.grad).all()
    assert not estimate.grad[..., 0].any() and estimate.grad[:, 0, :, 1:].all()
    assert float(end_point_error(flow(1, 2), truth, valid)) == pytest.approx(2.0)


def test_flows_too_long_to_be_true_are_left_out() -> None:
    truth = flow(0, 0)
    truth[:, 0, 0, 0] = MAX_FLOW_PX + 1
    assert float(sequence_loss([flow(0, 0)], truth, EVERYWHERE, 0.8)) == 0
    assert float(end_point_error(flow(0, 0), truth, EVERYWHERE)) == 0


def test_a_truth_that_knows_nothing_gives_no_loss_and_no_gradient() -> None:
    estimate = flow(3, 0).requires_grad_()
    loss = sequence_loss([estimate], torch.full_like(estimate, torch.nan), ~EVERYWHERE, 0.8)
    loss.backward()
    assert float(loss.detach()) == 0
    assert estimate.grad is not None and not estimate.grad.any()
