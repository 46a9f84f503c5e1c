"""cuda/variational_refinement.cu without a GPU: its arithmetic is the twin's, whatever a block has of the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from raftline.kernels.choice import KernelChoice
from raftline.kernels.cuda_kernel import CudaKernel
from raftline.kernels.variational_refinement import wrapper as door
from raftline.kernels.variational_refinement.cuda import ASSEMBLE, LINEARISE, SWEEP, variational_refinement_cuda
from raftline.kernels.variational_refinement.reference import variational_refinement_reference
from tests.raftline.kernels.kernel_on_cpu import KernelOnCpu, stand_in
from tests.raftline.kernels.test_variational_refinement import RULES, SAME_FLOW_PX, textured

# The last is of 2 x 3 squares that 5 sweeps leave 44 px of.
SIZES = [(1, 1, 1), (1, 1, 40), (1, 40, 1), (2, 2, 3), (2, 37, 61), (1, 50, 100)]
ONCE = replace(RULES, warps=1, reweightings=1)
SEVEN = replace(RULES, sweeps=7)


def images_and_flow(batch: int, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    flow = 1 + 0.3 * torch.randn(batch, 2, height, width, generator=torch.Generator().manual_seed(2))
    return textured(height, width, batch=batch), textured(height, width, seed=1, batch=batch), flow


def assert_same(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=SAME_FLOW_PX, rtol=0)


@pytest.fixture(scope="module", params=[0, 1], ids=["forwards", "backwards"])
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[KernelOnCpu]:
    return [
        KernelOnCpu(kernel, tmp_path_factory.mktemp(kernel.name), REVERSED=request.param)
        for kernel in (LINEARISE, ASSEMBLE, SWEEP)
    ]


@pytest.mark.parametrize("size", SIZES)
def test_the_kernels_arithmetic_is_the_twins_in_either_order_of_execution(
    size: tuple[int, int, int], compiled: list[KernelOnCpu], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, *compiled)
    given = images_and_flow(*size)
    found = variational_refinement_cuda(*given, RULES)
    assert found.permute(0, 2, 3, 1).is_contiguous()
    assert_same(found, variational_refinement_reference(*given, RULES))


@pytest.mark.parametrize("sweeps", [1, 7])
def test_sweeps_may_be_fewer_or_more_than_one_launch_makes(
    sweeps: int, compiled: list[KernelOnCpu], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, *compiled)
    given, rules = images_and_flow(1, 20, 70), replace(RULES, warps=1, sweeps=sweeps)
    assert_same(variational_refinement_cuda(*given, rules), variational_refinement_reference(*given, rules))


def test_where_a_square_ends_makes_no_difference(compiled: list[KernelOnCpu], monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, *compiled)
    luma1, luma2, flow = images_and_flow(1, 20, 100)
    whole = variational_refinement_cuda(luma1, luma2, flow, ONCE)
    begin = 22  # even: the colors stay
    part = variational_refinement_cuda(luma1[..., begin:], luma2[..., begin:], flow[..., begin:], ONCE)
    reach = 2 * ONCE.sweeps + 2
    torch.testing.assert_close(part[..., reach:], whole[..., begin + reach :], atol=1e-5, rtol=0)


@pytest.mark.parametrize("nothing", ["warps", "reweightings", "sweeps"])
def test_without_a_step_the_flow_stays(
    nothing: str, compiled: list[KernelOnCpu], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, *compiled)
    given = images_and_flow(1, 5, 6)
    assert torch.equal(variational_refinement_cuda(*given, replace(RULES, **{nothing: 0})), given[2])


@pytest.mark.parametrize("undefined", [float("nan"), float("inf"), -1e30])
def test_an_undefined_flow_reads_nothing_outside_and_stays_near(
    undefined: float, compiled: list[KernelOnCpu], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, *compiled)
    luma1, luma2, flow = images_and_flow(1, 6, 60)
    flow[:, 0, 3, 4] = undefined
    flow[:, 1, 1, 9] = undefined
    found = variational_refinement_cuda(luma1, luma2, flow, ONCE)
    assert_same(found[..., 30:], variational_refinement_reference(luma1, luma2, flow, ONCE)[..., 30:])
    assert found[..., 30:].isfinite().all()


def test_the_door_leads_to_the_kernels_in_ten_launches(monkeypatch: pytest.MonkeyPatch) -> None:
    launched: list[str] = []

    def launch(self: CudaKernel, device: object, blocks: int, threads: int, arguments: Sequence[object]) -> None:
        launched.append(self.name.removeprefix("variational_refinement_"))

    monkeypatch.setattr(CudaKernel, "launch", launch)
    monkeypatch.setattr(door, "kernel_choice", lambda _: KernelChoice("cupy", None))
    door.variational_refinement(*images_and_flow(1, 50, 100), RULES)
    assert launched == 2 * ["linearise", "assemble", "sweep", "assemble", "sweep"]


def skip_without_cuda() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device: the kernel was not run on one")


@pytest.mark.gpu
@pytest.mark.parametrize("size", [*SIZES, (2, 135, 240)])
def test_the_cuda_kernels_are_their_plain_twin_on_a_second_stream(size: tuple[int, int, int]) -> None:
    skip_without_cuda()
    luma1, luma2, flow = (tensor.cuda() for tensor in images_and_flow(*size))
    with torch.cuda.stream(torch.cuda.Stream()):
        found = [variational_refinement_cuda(luma1, luma2, flow, rules) for rules in (RULES, SEVEN)]
        expected = [variational_refinement_reference(luma1, luma2, flow, rules) for rules in (RULES, SEVEN)]
    torch.cuda.synchronize()
    assert_same(found[0], expected[0])
    assert_same(found[1], expected[1])


@pytest.mark.gpu
def test_the_cuda_kernels_give_the_same_each_time_also_from_a_recording() -> None:
    skip_without_cuda()
    luma1, luma2, flow = (tensor.cuda() for tensor in images_and_flow(1, 135, 240))
    once = variational_refinement_cuda(luma1, luma2, flow, RULES)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        recorded = variational_refinement_cuda(luma1, luma2, flow, RULES)
    for _ in range(5):
        graph.replay()
        assert torch.equal(recorded, once)
    flow.copy_(flow.flip(1))
    graph.replay()
    assert torch.equal(recorded, variational_refinement_cuda(luma1, luma2, flow, RULES))
