"""Similarity along a flow: its meaning, the CPU kernel against the plain twin, and the checks at its door."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from raftline.kernels.similarity_at import reference, similarity_at

implementations = pytest.mark.parametrize("compare", [similarity_at, reference.similarity_at], ids=["kernel", "twin"])
Compare = Callable[[Tensor, Tensor, Tensor], Tensor]

# Sums over 32 channels in float32 in another order; coordinates of up to 70 cells are scaled to -1..1 and back by the
# twin, which moves them by 1e-5 of a cell.
SAME_SIMILARITY = 1e-4


def random_features(height: int, width: int, seed: int = 0, batch: int = 1) -> Tensor:
    return F.normalize(torch.randn(batch, 32, height, width, generator=torch.Generator().manual_seed(seed)), dim=1)


@implementations
def test_what_went_where_its_flow_says_is_wholly_alike(compare: Compare) -> None:
    features1 = random_features(9, 12)
    flow = torch.tensor([3.0, -2.0]).view(1, 2, 1, 1).expand(1, 2, 9, 12)
    found = compare(features1, torch.roll(features1, (-2, 3), (2, 3)), flow)
    torch.testing.assert_close(found[..., 2:, :-3], torch.ones(1, 1, 7, 9), atol=SAME_SIMILARITY, rtol=0)


@implementations
def test_outside_nothing_is_alike(compare: Compare) -> None:
    features = random_features(6, 8)
    for flow_x, flow_y in ((8.0, 0.0), (-8.0, 0.0), (0.0, 6.0), (0.0, -6.5), (1e9, 0.0)):
        flow = torch.tensor([flow_x, flow_y]).view(1, 2, 1, 1).expand(1, 2, 6, 8)
        assert not compare(features, features, flow).any()


@implementations
def test_half_a_cell_outside_is_as_alike_as_the_cell_at_the_border(compare: Compare) -> None:
    features = random_features(6, 8)
    flow = torch.zeros(1, 2, 6, 8)
    flow[:, 0, :, 0] = -0.5
    torch.testing.assert_close(
        compare(features, features, flow)[..., 0], torch.ones(1, 1, 6), atol=SAME_SIMILARITY, rtol=0
    )


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (37, 3), (23, 70)])
def test_the_kernel_is_its_twin(size: tuple[int, int]) -> None:
    features1, features2 = random_features(*size, batch=2), random_features(*size, seed=1, batch=2)
    flow = 4 * torch.randn(2, 2, *size, generator=torch.Generator().manual_seed(2))
    found = similarity_at(features1, features2, flow)
    torch.testing.assert_close(found, reference.similarity_at(features1, features2, flow), atol=SAME_SIMILARITY, rtol=0)


def test_a_flow_that_is_no_number_leads_nowhere() -> None:
    features = random_features(6, 8)
    flow = torch.zeros(1, 2, 6, 8)
    flow[0, 1, 2, 3] = float("nan")
    found = similarity_at(features, features, flow)
    assert found[0, 0, 2, 3] == 0 and torch.isfinite(found).all()


def test_what_does_not_fit_is_refused_with_what_was_found() -> None:
    features = torch.zeros(1, 8, 5, 7)
    with pytest.raises(ValueError, match=r"flow: expected shape \(1, 2, 5, 7\), found \(1, 2, 5, 6\)"):
        similarity_at(features, features, torch.zeros(1, 2, 5, 6))
    with pytest.raises(ValueError, match=r"features2: expected float32, found torch.float16"):
        similarity_at(features, features.half(), torch.zeros(1, 2, 5, 7))
