"""cuda/forward_splat.cu without a GPU: its arithmetic is the reference's, in whatever order its threads run."""

from __future__ import annotations

import pytest
import torch

from stages.kernels import reference
from stages.kernels.forward_splat_cuda import CARRY, LAND, forward_splat_cuda
from tests.kernels.kernel_on_cpu import KernelOnCpu, stand_in
from tests.kernels.test_forward_splat import random_splat

SIZES = [(1, 16, 16), (2, 9, 13), (1, 1, 1), (1, 1, 9), (1, 8, 1), (3, 17, 31), (1, 33, 64)]


@pytest.fixture(scope="module", params=[0, 1], ids=["forwards", "backwards"])
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[KernelOnCpu]:
    return [
        KernelOnCpu(kernel, tmp_path_factory.mktemp(kernel.name), REVERSED=request.param) for kernel in (LAND, CARRY)
    ]


def test_the_kernels_arithmetic_is_the_references_in_either_order_of_execution(
    compiled: list[KernelOnCpu], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, *compiled)
    for size in SIZES:
        flow, error, values = random_splat(*size)
        for given in ((error, values), (None, None)):
            found, expected = forward_splat_cuda(flow, *given), reference.forward_splat(flow, *given)
            assert torch.equal(found.landed, expected.landed)
            landed = expected.landed.expand_as(expected.flow)
            assert torch.equal(found.flow[landed], expected.flow[landed])
            # The order of the sums in a mean and in an interpolation differs: a few roundings of values up to 20.
            torch.testing.assert_close(found.flow, expected.flow, atol=1e-5, rtol=1e-5)
            if expected.values is not None:
                torch.testing.assert_close(found.values, expected.values, atol=1e-5, rtol=1e-5)


def test_nothing_lands_where_all_leave(compiled: list[KernelOnCpu], monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, *compiled)
    for out in (100.0, float("nan"), float("inf"), -1e30):
        carried = forward_splat_cuda(torch.full((2, 2, 5, 3), out), None, None)
        assert torch.equal(carried.flow, torch.zeros(2, 2, 5, 3))
        assert not carried.landed.any()


def test_of_many_that_meet_in_one_cell_the_last_of_the_fastest_stays(
    compiled: list[KernelOnCpu], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, *compiled)
    y, x = torch.meshgrid(torch.arange(21.0), torch.arange(31.0), indexing="ij")
    flow = torch.stack([15 - x, 10 - y])[None]  # all go to the middle; the four corners are equally fast
    carried = forward_splat_cuda(flow, None, None)
    assert carried.landed.sum() == 1
    assert carried.flow[0, :, 10, 15].tolist() == [-15.0, -10.0]
    torch.testing.assert_close(carried.flow, torch.tensor([-15.0, -10.0]).view(1, 2, 1, 1).expand(1, 2, 21, 31))
