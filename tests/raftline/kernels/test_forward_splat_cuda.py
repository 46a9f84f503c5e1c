"""cuda/forward_splat.cu without a GPU: its arithmetic is the reference's, in whatever order its threads run."""

from __future__ import annotations

import pytest
import torch

from raftline.kernels.forward_splat import reference
from raftline.kernels.forward_splat.cuda import CARRY, LAND, forward_splat_cuda
from tests.raftline.kernels.kernel_on_cpu import KernelOnCpu, stand_in
from tests.raftline.kernels.test_forward_splat import random_splat

SIZES = [(2, 9, 13), (1, 20, 33), (1, 1, 1), (1, 1, 9), (1, 8, 1), (3, 6, 7)]


@pytest.fixture(scope="module", params=[0, 1], ids=["forwards", "backwards"])
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[KernelOnCpu]:
    return [
        KernelOnCpu(kernel, tmp_path_factory.mktemp(kernel.name), REVERSED=request.param) for kernel in (LAND, CARRY)
    ]


def test_the_kernels_arithmetic_is_the_references_in_either_order_of_execution(
    compiled: list[KernelOnCpu], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, *compiled)
    for number, size in enumerate(SIZES):
        flow, error, values = random_splat(*size)
        given = (error, values) if number % 2 == 0 else (None, None)
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


def skip_without_cuda() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device: the kernel was not run on one")


@pytest.mark.gpu
@pytest.mark.parametrize("size", [*SIZES, (2, 135, 240), (1, 271, 479)])
def test_the_cuda_kernels_are_their_plain_twin_on_a_second_stream(size: tuple[int, int, int]) -> None:
    skip_without_cuda()
    flow, error, values = (tensor.cuda() for tensor in random_splat(*size))
    with torch.cuda.stream(torch.cuda.Stream()):
        found = forward_splat_cuda(flow, error, values.half())
        expected = reference.forward_splat(flow, error, values.half())
        fastest = forward_splat_cuda(flow, None, None)
        expected_fastest = reference.forward_splat(flow)
    torch.cuda.synchronize()
    assert found.values is not None and expected.values is not None
    assert torch.equal(found.landed, expected.landed) and torch.equal(fastest.landed, expected_fastest.landed)
    # As above; halves of values up to 5 besides.
    torch.testing.assert_close(found.flow, expected.flow, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(fastest.flow, expected_fastest.flow, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.values, expected.values, atol=2 * 5 * 2.0**-11, rtol=0)


@pytest.mark.gpu
def test_the_cuda_kernels_give_the_same_each_time_also_from_a_recording() -> None:
    skip_without_cuda()
    flow = random_splat(1, 135, 240)[0].cuda()
    once = forward_splat_cuda(flow, None, None)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        recorded = forward_splat_cuda(flow, None, None)
    for _ in range(20):
        again = forward_splat_cuda(flow, None, None)
        graph.replay()
        assert torch.equal(again.flow, once.flow) and torch.equal(again.landed, once.landed)
        assert torch.equal(recorded.flow, once.flow) and torch.equal(recorded.landed, once.landed)
    flow.copy_(flow.flip(1))
    graph.replay()
    assert torch.equal(recorded.flow, forward_splat_cuda(flow, None, None).flow)
