"""Differences of features at points: their meaning, the kernel against the plain twin, the check at its door."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from raftline.kernels.difference_at import difference_at, reference

# Sums over 32 channels of float32 in another order.
SAME = 1e-4


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def arguments(height: int, width: int, points: int = 30, guesses: int = 3) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    places = drawn(2, guesses, 2, points, seed=2) * max(height, width)
    return drawn(2, points, 32), drawn(2, height, width, 32, seed=1), places, drawn(2, 2, points, 32, seed=3)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (37, 3), (23, 70)])
def test_the_kernel_is_its_twin(size: tuple[int, int]) -> None:
    for found, expected in zip(
        difference_at(*arguments(*size)), reference.difference_at(*arguments(*size)), strict=True
    ):
        torch.testing.assert_close(found, expected, atol=SAME, rtol=SAME)


@pytest.mark.parametrize("compare", [difference_at, reference.difference_at], ids=["kernel", "twin"])
def test_halfway_between_two_cells_features_are_their_mean(compare) -> None:
    later = drawn(1, 1, 2, 32)
    there = torch.tensor([0.5, 0.0]).view(1, 1, 2, 1)
    square, along = compare(later.mean(dim=2) + 1, later, there, torch.ones(1, 1, 1, 32))
    torch.testing.assert_close(square, torch.full((1, 1, 1), 32.0))
    torch.testing.assert_close(along, torch.full((1, 1, 1, 1), 32.0))


@pytest.mark.parametrize("compare", [difference_at, reference.difference_at], ids=["kernel", "twin"])
def test_outside_the_nearest_cell_is_compared_with(compare) -> None:
    later = drawn(1, 2, 2, 8)
    there = torch.tensor([[-5.0, 1e30], [-3.0, 9.0]]).view(1, 1, 2, 2)
    square, along = compare(later[:, [0, 1], [0, 1]], later, there, torch.ones(1, 0, 2, 8))
    assert not square.any() and along.shape == (1, 1, 0, 2)


def test_shapes_that_do_not_fit_are_named() -> None:
    here, later, there, slopes = arguments(4, 5)
    with pytest.raises(ValueError, match=r"found \(2, 30, 32\), \(2, 4, 5, 32\), \(2, 3, 2, 29\)"):
        difference_at(here, later, there[..., 1:], slopes)
