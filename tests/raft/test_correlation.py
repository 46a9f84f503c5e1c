"""Two ways to hold one correlation."""

from __future__ import annotations

import torch

from stages.raft.correlation import AllPairsCorrelation, OnDemandCorrelation, correlate, correlation_mode
from tests.kernels.pyramids import coordinates


def features(seed: int, height: int, width: int) -> torch.Tensor:
    return torch.randn(2, 32, height, width, generator=torch.Generator().manual_seed(seed))


def test_all_pairs_and_on_demand_are_the_same_correlation() -> None:
    # Odd sizes: the coarse levels leave the last row and column out, in both.
    one, two = features(0, 17, 22), features(1, 17, 22)
    coords = coordinates(2, 17, 22)
    all_pairs = AllPairsCorrelation(one, two, 4).lookup(coords)
    on_demand = OnDemandCorrelation(one, two, 4).lookup(coords)
    assert all_pairs.shape == (2, 4 * 81, 17, 22)
    # Averaging before the dot product and after it, in float32, on values up to 6.
    torch.testing.assert_close(on_demand, all_pairs, atol=2e-5, rtol=0)


def test_gradients_take_the_way_that_has_them() -> None:
    one, two = features(0, 16, 16), features(1, 16, 16)
    assert isinstance(correlate(one, two, 3), OnDemandCorrelation)
    assert isinstance(correlate(one.requires_grad_(), two, 3), AllPairsCorrelation)
    with torch.no_grad():
        assert isinstance(correlate(one, two, 3), OnDemandCorrelation)


def test_the_mode_is_said_for_each_device() -> None:
    assert correlation_mode(torch.device("cpu")) == "on-demand"
    assert correlation_mode(torch.device("cuda", 0)) == "all-pairs"
