"""Two ways to hold one correlation."""

from __future__ import annotations

import pytest
import torch

from raftline.kernels.lookup import reference
from raftline.raft import correlation
from raftline.raft.correlation import (
    AllPairsCorrelation,
    OnDemandCorrelation,
    choose_correlation,
    correlate,
    volume_bytes,
)
from tests.raftline.kernels.pyramids import coordinates


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


@pytest.mark.parametrize("made", [AllPairsCorrelation, OnDemandCorrelation])
def test_both_ways_are_the_two_ways(made: type) -> None:
    one, two = features(0, 17, 22), features(1, 17, 22)
    coords = coordinates(2, 17, 22)
    both = made(one, two, 3, both_ways=True).lookup(torch.cat([coords, coords]))
    apart = torch.cat([made(one, two, 3).lookup(coords), made(two, one, 3).lookup(coords)])
    # The finest level of the way back is the other's, transposed: a sum in another order.
    torch.testing.assert_close(both, apart, atol=2e-5, rtol=0)


def test_gradients_take_the_way_that_has_them() -> None:
    one, two = features(0, 16, 16), features(1, 16, 16)
    assert isinstance(correlate(one, two, 3), OnDemandCorrelation)
    assert isinstance(correlate(one.requires_grad_(), two, 3), AllPairsCorrelation)
    with torch.no_grad():
        assert isinstance(correlate(one, two, 3), OnDemandCorrelation)


def test_a_mode_that_is_asked_for_is_taken() -> None:
    one, two = features(0, 16, 16), features(1, 16, 16)
    assert isinstance(correlate(one, two, 3, "all-pairs"), AllPairsCorrelation)
    assert choose_correlation(torch.device("cpu"), 1, 16, 16, torch.float32, "all-pairs") == "all-pairs"
    with pytest.raises(ValueError, match=r"'on-demand': there is no kernel for it on meta. Use auto or all-pairs"):
        choose_correlation(torch.device("meta"), 1, 16, 16, torch.float32, "on-demand")


def test_the_volume_is_four_thirds_of_the_pixels_squared() -> None:
    made = AllPairsCorrelation(features(0, 17, 22), features(1, 17, 22), 3)
    assert sum(level.nbytes for level in made.levels) == volume_bytes(2, 17, 22, torch.float32)


@pytest.mark.parametrize(("free_gigabytes", "mode"), [(80, "all-pairs"), (5, "on-demand")])
def test_on_a_gpu_free_memory_decides(monkeypatch: pytest.MonkeyPatch, free_gigabytes: int, mode: str) -> None:
    monkeypatch.setattr(correlation, "supports", lambda device: True)
    monkeypatch.setattr(correlation, "_free_bytes", lambda device: free_gigabytes << 30)
    # 1080p in half precision: 2.6 GiB.
    assert choose_correlation(torch.device("cuda", 0), 1, 136, 240, torch.float16) == mode
    assert choose_correlation(torch.device("cpu"), 1, 136, 240, torch.float16) == "on-demand"


@pytest.mark.parametrize("both_ways", [False, True])
def test_the_gradient_of_several_lookups_is_that_of_the_plain_twin(
    both_ways: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = features(0, 9, 13).requires_grad_(), features(1, 9, 13).requires_grad_()
    everywhere = [coordinates(4 if both_ways else 2, 9, 13, seed) for seed in range(3)]

    def gradients() -> tuple[torch.Tensor, ...]:
        correlated = correlate(one, two, 3, both_ways=both_ways)
        loss = torch.stack([correlated.lookup(coords).square().sum() for coords in everywhere]).sum()
        return torch.autograd.grad(loss, (one, two))

    found = gradients()
    monkeypatch.setattr(correlation, "lookup", reference.lookup)
    monkeypatch.setattr(correlation, "SharedLevels", list)
    # Sums of some thousand products in another order, in float32.
    for ours, twins in zip(found, gradients(), strict=True):
        torch.testing.assert_close(ours, twins, atol=1e-5 * float(twins.abs().max()), rtol=0)
