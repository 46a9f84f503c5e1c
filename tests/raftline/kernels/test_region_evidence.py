"""What regions speak for: its meaning, the CPU kernel against the plain twin, and the checks at its door."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from raftline.kernels.region_evidence import reference, region_evidence
from raftline.kernels.region_evidence.reference import EvidenceRules, RegionEvidence

implementations = pytest.mark.parametrize("weigh", [region_evidence, reference.region_evidence], ids=["kernel", "twin"])
Weigh = Callable[..., RegionEvidence]

RULES = EvidenceRules(reach=4, side=5, margin=0.1, reached=1.5, alike=1, least=0.05)

# Sums over 32 channels and a square, in float32, in another order.
SAME_EVIDENCE = 1e-5


def random_features(height: int, width: int, seed: int = 0, batch: int = 1) -> Tensor:
    """(B, 32, H, W): every cell like no other."""
    return F.normalize(torch.randn(batch, 32, height, width, generator=torch.Generator().manual_seed(seed)), dim=1)


def shifted(features: Tensor, right: int, down: int) -> Tensor:
    return torch.roll(features, (down, right), (2, 3))


def at_zero(features1: Tensor, features2: Tensor) -> tuple[Tensor, Tensor]:
    """No flow, and how well that explains the features."""
    batch, _, height, width = features1.shape
    return torch.zeros(batch, 2, height, width), (features1 * features2).sum(dim=1, keepdim=True)


@implementations
def test_a_region_speaks_for_where_it_went(weigh: Weigh) -> None:
    features1 = random_features(20, 24)
    features2 = shifted(features1, 3, -2)
    evidence = weigh(features1, features2, *at_zero(features1, features2), RULES)
    inner = (slice(None), slice(None), slice(6, -6), slice(6, -6))
    assert (evidence.sought[inner] == torch.tensor([3.0, -2.0]).view(1, 2, 1, 1)).all()
    assert (evidence.most[inner] > 0.6).all() and (evidence.others[inner] < 0.3).all()


@implementations
def test_what_is_explained_speaks_for_nothing(weigh: Weigh) -> None:
    features = random_features(12, 16)
    evidence = weigh(features, features, *at_zero(features, features), RULES)
    assert not any(part.any() for part in evidence)


@implementations
def test_a_displacement_near_to_the_flow_is_no_news(weigh: Weigh) -> None:
    features1 = random_features(16, 16)
    features2 = shifted(features1, 3, 0)
    flow, explained = at_zero(features1, features2)
    flow[:, 0] = 2.0
    evidence = weigh(features1, features2, flow, explained, replace(RULES, least=0.3))
    assert not evidence.most.any()
    flow[:, 0] = 1.0
    assert weigh(features1, features2, flow, explained, replace(RULES, least=0.3)).most[0, 0, 8, 8] > 0.3


@implementations
def test_what_repeats_speaks_for_others_as_well(weigh: Weigh) -> None:
    column = random_features(16, 3)
    features1 = column.repeat(1, 1, 1, 8)  # the same again every 3 cells
    features2 = shifted(features1, 1, 3)
    evidence = weigh(features1, features2, *at_zero(features1, features2), RULES)
    middle = evidence.most[0, 0, 8, 12], evidence.others[0, 0, 8, 12]
    assert middle[0] > 0.5 and middle[1] > 0.9 * middle[0]


@implementations
def test_beyond_the_border_there_is_nothing_to_be_like(weigh: Weigh) -> None:
    features1 = random_features(12, 12)
    features2 = torch.roll(features1, 4, 3)
    features2[..., :4] = 0  # what came in from the left was never seen
    evidence = weigh(features1, features2, *at_zero(features1, features2), replace(RULES, least=0.4))
    assert (evidence.most[..., 4, 2:6] > 0).all()
    assert not evidence.most[..., 10:].any()


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (37, 3), (23, 70)])
@pytest.mark.parametrize("least", [0.0, 0.05, 0.2])
def test_the_kernel_is_its_twin(size: tuple[int, int], least: float) -> None:
    features1 = random_features(*size, batch=2)
    features2 = F.normalize(shifted(features1, 2, 1) + 0.5 * random_features(*size, seed=1, batch=2), dim=1)
    features2[1] = features1[1]  # nothing to be found in the second
    flow = 2 * torch.randn(2, 2, *size, generator=torch.Generator().manual_seed(2))
    explained = torch.rand(2, 1, *size, generator=torch.Generator().manual_seed(3))
    explained[1] = 1.0
    rules = replace(RULES, least=least)
    found, expected = (
        f(features1, features2, flow, explained, rules) for f in (region_evidence, reference.region_evidence)
    )
    for part, other in ((found.most, expected.most), (found.others, expected.others)):
        torch.testing.assert_close(part, other, atol=SAME_EVIDENCE, rtol=0)
    clear = expected.most > expected.others + SAME_EVIDENCE
    told = clear & ((expected.most - least).abs() > SAME_EVIDENCE)
    assert torch.equal(found.sought * told, expected.sought * told)
    if least == 0.05 and min(size) > 9:
        assert told[0].float().mean() > 0.5 and not told[1].any()


@pytest.mark.gpu
def test_a_gpu_gives_what_the_cpu_gives_also_from_a_recording() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device: the evidence was not weighed on one")
    features1 = random_features(45, 83, batch=2)
    features2 = F.normalize(shifted(features1, 2, 1) + 0.5 * random_features(45, 83, seed=1, batch=2), dim=1)
    flow, explained = at_zero(features1, features2)
    expected = region_evidence(features1, features2, flow, explained, RULES)
    on_gpu = functools.partial(
        region_evidence, features1.cuda(), features2.cuda(), flow.cuda(), explained.cuda(), RULES
    )
    once = on_gpu()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        recorded = on_gpu()
    graph.replay()
    clear = expected.most > expected.others + SAME_EVIDENCE
    assert clear.float().mean() > 0.5
    for found in (once, recorded):
        torch.testing.assert_close(found.most.cpu(), expected.most, atol=SAME_EVIDENCE, rtol=0)
        torch.testing.assert_close(found.others.cpu(), expected.others, atol=SAME_EVIDENCE, rtol=0)
        assert torch.equal(found.sought.cpu() * clear, expected.sought * clear)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features1": torch.zeros(8, 5, 7)}, r"features1: expected shape \(B, C, H, W\).*found \(8, 5, 7\)"),
        ({"features2": torch.zeros(1, 8, 5, 6)}, r"features2: expected shape \(1, 8, 5, 7\), found \(1, 8, 5, 6\)"),
        ({"flow": torch.zeros(1, 3, 5, 7)}, r"flow: expected shape \(1, 2, 5, 7\), found \(1, 3, 5, 7\)"),
        ({"explained": torch.zeros(1, 5, 7)}, r"explained: expected shape \(1, 1, 5, 7\), found \(1, 5, 7\)"),
        ({"flow": torch.zeros(1, 2, 5, 7, dtype=torch.float16)}, "flow: expected float32, found torch.float16"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_was_found(change: dict[str, Any], message: str) -> None:
    given = {
        "features1": torch.zeros(1, 8, 5, 7),
        "features2": torch.zeros(1, 8, 5, 7),
        "flow": torch.zeros(1, 2, 5, 7),
        "explained": torch.zeros(1, 1, 5, 7),
        "rules": RULES,
    }
    with pytest.raises(ValueError, match=message):
        region_evidence(**{**given, **change})
