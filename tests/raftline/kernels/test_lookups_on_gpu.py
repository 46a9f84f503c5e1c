"""The lookups where there is a GPU: each kernel against its plain twin, which runs on the GPU too.

Bad addresses, races and misplaced barriers: `compute-sanitizer --tool memcheck python -m pytest tests/kernels -m gpu`,
and with `racecheck` and `synccheck` for memcheck. Torch, CuPy and pytest are enough; without pytest-timeout, whose
option pyproject.toml sets: `python -m pytest -c /dev/null --rootdir . tests/kernels`.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from raftline.kernels.choice import kernel_choice
from raftline.kernels.lookup import DTYPES, lookup, reference
from raftline.kernels.lookup.gradient import SharedLevels
from raftline.kernels.lookup_on_demand import lookup_on_demand, room_for_windows
from raftline.kernels.lookup_on_demand.reference import lookup_on_demand as on_demand_reference
from tests.raftline.kernels.pyramids import coordinates, features, pyramid

pytestmark = pytest.mark.gpu

# Against the reference in float32 on the same rounded numbers; half and bfloat16 round a result up to 4.
TOLERANCE = {torch.float32: 2e-6, torch.float16: 4 * 2.0**-11, torch.bfloat16: 4 * 2.0**-8}
# Sums of up to 256 products in another order; on tensor cores the products of half numbers are exact, and their sums
# are truncated where float arithmetic rounds.
ON_DEMAND_TOLERANCE = 5e-5


@pytest.fixture(autouse=True)
def gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device: the kernels were not run on one")
    assert kernel_choice("cuda").name == "cupy", kernel_choice("cuda").fallback


def odd_sizes(count: int) -> list[tuple[int, int, int]]:
    generator = torch.Generator().manual_seed(7)
    drawn = torch.randint(0, 34, (count, 3), generator=generator).tolist()
    return [(1 + batch % 3, 1 + 2 * height, 1 + 2 * width) for batch, height, width in drawn]


@pytest.mark.parametrize("radius", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("size", [*odd_sizes(5), (1, 1, 1)], ids=str)
def test_the_lookup_is_its_plain_twin(size: tuple[int, int, int], dtype: torch.dtype, radius: int) -> None:
    levels, coords = [level.to("cuda", dtype) for level in pyramid(*size)], coordinates(*size).cuda()
    coords.view(-1)[::17] = torch.nan
    expected = reference.lookup([level.float() for level in levels], coords, radius)
    for out_dtype in DTYPES:
        found = lookup(levels, coords, radius, out_dtype)
        assert found.dtype is out_dtype and found.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(found.float(), expected, atol=TOLERANCE[out_dtype], rtol=0)


@pytest.mark.parametrize("radius", [3, 4])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("size", odd_sizes(4), ids=str)
def test_the_gradient_is_the_plain_twins(size: tuple[int, int, int], dtype: torch.dtype, radius: int) -> None:
    leaves = [level.to("cuda", dtype).requires_grad_() for level in pyramid(*size)]
    exact = [leaf.detach().float().requires_grad_() for leaf in leaves]
    coords = coordinates(*size).cuda()
    windows, expected = lookup(SharedLevels(leaves), coords, radius), reference.lookup(exact, coords, radius)
    gradient = torch.rand_like(expected).to(dtype)
    windows.backward(gradient)
    expected.backward(gradient.float())
    for leaf, one in zip(leaves, exact, strict=True):
        assert leaf.grad is not None and one.grad is not None
        torch.testing.assert_close(leaf.grad.float(), one.grad, atol=TOLERANCE[dtype], rtol=0)


@pytest.mark.parametrize("channels", [128, 256])
@pytest.mark.parametrize("radius", [3, 4])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("size", [*odd_sizes(4), (1, 1, 1)], ids=str)
def test_the_lookup_on_demand_is_its_plain_twin(
    size: tuple[int, int, int], dtype: torch.dtype, radius: int, channels: int
) -> None:
    batch, height, width = size
    one, levels = features(batch, channels, height, width)
    one, levels = one.to("cuda", dtype), [level.to("cuda", dtype) for level in levels]
    coords = coordinates(*size).cuda()
    coords.view(-1)[::17] = torch.nan
    found = lookup_on_demand(one, levels, coords, radius, torch.float32)
    expected = on_demand_reference(one.float(), [level.float() for level in levels], coords, radius)
    torch.testing.assert_close(found, expected, atol=ON_DEMAND_TOLERANCE, rtol=0)
    assert torch.equal(lookup_on_demand(one, levels, coords, radius, torch.float32), found)


def all_pairs(coords: Tensor) -> Tensor:
    return lookup([level.cuda() for level in pyramid(1, 33, 41)], coords, 4)


def on_demand(coords: Tensor) -> Tensor:
    one, levels = features(1, 128, 33, 41)
    return lookup_on_demand(one.cuda(), [level.cuda() for level in levels], coords, 4)


@pytest.mark.parametrize("look", [all_pairs, on_demand])
def test_a_second_stream_waits_for_nobody_but_itself(look: Callable[[Tensor], Tensor]) -> None:
    coords = coordinates(1, 33, 41).cuda()
    expected = look(coords)
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        moved = torch.full_like(coords, 1e6)
        torch.cuda._sleep(50_000_000)
        moved.copy_(coords)  # a launch on any other stream would run before this
        found = look(moved)
    stream.synchronize()
    assert torch.equal(found, expected)


@pytest.mark.parametrize("look", [all_pairs, on_demand])
def test_every_device_runs_a_compilation_of_its_own(look: Callable[[Tensor], Tensor]) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("one CUDA device: what a second one compiles is checked in test_cuda_kernel.py")
    coords = coordinates(1, 33, 41)
    found = []
    for index in range(2):
        with torch.cuda.device(index):
            found.append(look(coords.cuda()))
    assert found[1].device.index == 1
    assert torch.equal(found[0].cpu(), found[1].cpu())


def test_a_volume_past_2_to_the_31_elements_is_read_to_its_end() -> None:
    height, width = 216, 216
    elements = (height * width) ** 2
    assert elements > 2**31
    if torch.cuda.mem_get_info()[0] < 4 * elements:
        pytest.skip(f"{4 * elements / 2**30:.0f} GiB of GPU memory are not free")
    volume = torch.zeros(1, height, width, height, width, dtype=torch.float16, device="cuda")
    last = volume[0, -1, -1]
    last.copy_(torch.rand_like(last))
    coords = torch.full((1, 2, height, width), 100.25, device="cuda")
    coords[0, :, -1, -1] = 213.5
    found = lookup([volume], coords, 4)
    expected = reference.lookup([last.float()[None, None, None]], coords[..., -1:, -1:], 4)
    torch.testing.assert_close(found[..., -1:, -1:].float(), expected, atol=TOLERANCE[torch.float16], rtol=0)
    assert not found[..., :-1, :].any()


def test_wrong_arguments_are_refused_before_a_launch() -> None:
    levels, coords = [level.cuda() for level in pyramid(1, 8, 8)], coordinates(1, 8, 8)
    with pytest.raises(ValueError, match=r"levels\[0\]: on cuda:0, but coords are on cpu; move one"):
        lookup(levels, coords, 3)
    one, levels2 = features(1, 48, 8, 8)
    with pytest.raises(ValueError, match=r"features1: expected a multiple of 32 channels in torch\.float32, found 48"):
        lookup_on_demand(one.cuda(), [level.cuda() for level in levels2], coords.cuda(), 3)


def test_on_demand_windows_that_are_kept_change_nothing_also_in_a_recording() -> None:
    one, levels = features(1, 128, 33, 41)
    one, levels = one.cuda().half(), [level.cuda().half() for level in levels]
    start = coordinates(1, 33, 41).cuda()
    moves = (0.0, 0.3, -1.7, float("nan"), 0.2)

    def iterate(keep: bool) -> list[Tensor]:
        kept = room_for_windows(one, len(levels), 4) if keep else None
        return [lookup_on_demand(one, levels, start + move, 4, kept=kept) for move in moves]

    def agree(found: list[Tensor]) -> bool:
        return all(torch.equal(kept, anew) for kept, anew in zip(found, iterate(keep=False), strict=True))

    assert agree(iterate(keep=True))
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        recorded = iterate(keep=True)
    for _ in range(2):
        start.copy_(start.flip(2))
        graph.replay()
        assert agree(recorded)


def test_lookups_on_demand_of_more_pixels_take_memory_in_proportion() -> None:
    peaks = []
    for height in (64, 128):
        one, levels = features(1, 128, height, 240)
        one, *levels = (x.cuda().contiguous(memory_format=torch.channels_last) for x in (one, *levels))
        coords = coordinates(1, height, 240).cuda()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        lookup_on_demand(one, levels, coords, 4, kept=room_for_windows(one, 4, 4))
        peaks.append(torch.cuda.max_memory_allocated() - before)
    assert peaks[1] <= 2.1 * peaks[0]
    assert peaks[1] < 4 * 128 * 240 * (4 * (100 + 81) + 32)
