"""cuda/lookup_on_demand.cu without a GPU: its arithmetic is the reference's, and it reads nothing that it must not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from raftline.kernels.cuda_kernel import NUMBER, source
from raftline.kernels.lookup_on_demand import reference
from raftline.kernels.lookup_on_demand.cuda import KERNEL, KeptOnCuda, check, lookup_on_demand_cuda
from tests.raftline.kernels.kernel_on_cpu import KernelFailed, KernelOnCpu, stand_in
from tests.raftline.kernels.pyramids import coordinates, features

# Sums of up to 256 products of standard normal numbers over sqrt(C), in float32, in another order. Half and bfloat16
# are compared with the reference on the same rounded features in float32; what is left is the sum's order again.
TOLERANCE = 1e-5
VARIANTS = [
    (torch.float32, 3, 900),
    (torch.float32, 4, 900),
    (torch.float16, 4, 900),
    (torch.bfloat16, 3, 900),
    (torch.float16, 3, 750),
]
"""dtype, radius and architecture: below 800 there are no tensor cores that take what the kernel gives them."""

Variant = tuple[torch.dtype, int, int]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[Variant, KernelOnCpu]:
    made = {}
    for dtype, radius, architecture in VARIANTS:
        defines = {"ELEMENT": NUMBER[dtype], "RADIUS": radius, "__CUDA_ARCH__": architecture}
        made[dtype, radius, architecture] = KernelOnCpu(KERNEL, tmp_path_factory.mktemp("on_demand"), **defines)
    return made


@pytest.fixture(params=VARIANTS, ids=str)
def variant(
    request: pytest.FixtureRequest, compiled: dict[Variant, KernelOnCpu], monkeypatch: pytest.MonkeyPatch
) -> tuple[torch.dtype, int]:
    """A dtype of the features and a radius, with its kernel standing in for CUDA's."""
    stand_in(monkeypatch, compiled[request.param])
    return request.param[:2]


def close_to_the_reference(one: Tensor, levels: list[Tensor], coords: Tensor, variant: tuple[torch.dtype, int]) -> None:
    dtype, radius = variant
    one, levels = one.to(dtype), [level.to(dtype) for level in levels]
    found = lookup_on_demand_cuda(one, levels, coords, radius, torch.float32)
    expected = reference.lookup_on_demand(one.float(), [level.float() for level in levels], coords, radius)
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize(
    "shape", [(1, 64, 16, 16), (2, 128, 9, 3), (1, 64, 1, 1), (1, 256, 3, 7), (3, 64, 8, 9)], ids=str
)
def test_the_kernels_arithmetic_is_the_references(
    variant: tuple[torch.dtype, int], shape: tuple[int, int, int, int]
) -> None:
    one, levels = features(*shape)
    close_to_the_reference(one, levels, coordinates(shape[0], *shape[2:]), variant)


@pytest.mark.parametrize("shift", [2.25, -20.0])
def test_a_smooth_flow_gives_the_references_windows(variant: tuple[torch.dtype, int], shift: float) -> None:
    one, levels = features(1, 64, 12, 18)
    y, x = torch.meshgrid(torch.arange(12.0), torch.arange(18.0), indexing="ij")
    coords = torch.stack([x * 1.03 + shift, y * 0.98 - shift / 2])[None]
    close_to_the_reference(one, levels[:2], coords, variant)


def test_two_motions_in_one_tile_give_the_references_windows(variant: tuple[torch.dtype, int]) -> None:
    # The tile's box is wider than a strip, and most of it lies in no window.
    one, levels = features(1, 64, 8, 70)
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(70.0), indexing="ij")
    coords = torch.stack([torch.where(x % 8 < 4, x * 0.1, 68 - x * 0.1), y])[None]
    close_to_the_reference(one, levels[:2], coords, variant)


@pytest.mark.parametrize("undefined", [float("nan"), -float("inf"), 3e38])
def test_a_window_at_an_undefined_coordinate_is_zero(variant: tuple[torch.dtype, int], undefined: float) -> None:
    dtype, radius = variant
    one, levels = features(1, 64, 8, 8)
    coords = coordinates(1, 8, 8)
    coords[0, 0, 2, 3] = undefined
    coords[0, 1, 5, 6] = undefined
    found = lookup_on_demand_cuda(one.to(dtype), [level.to(dtype) for level in levels], coords, radius, dtype)
    assert found.dtype is dtype
    assert (found[0, :, 2, 3] == 0).all()
    assert (found[0, :, 5, 6] == 0).all()
    assert torch.isfinite(found.float()).all()


def test_coordinates_that_are_all_undefined_give_zeros(variant: tuple[torch.dtype, int]) -> None:
    dtype, radius = variant
    one, levels = features(1, 64, 3, 3)
    coords = torch.full((1, 2, 3, 3), torch.nan)
    found = lookup_on_demand_cuda(one.to(dtype), [level.to(dtype) for level in levels], coords, radius, dtype)
    assert (found == 0).all()


def test_undefined_features_stay_with_their_pixel(variant: tuple[torch.dtype, int]) -> None:
    dtype, radius = variant
    one, levels = features(1, 64, 8, 8)
    one[0, 3, 4, 4] = float("nan")
    coords = torch.full((1, 2, 8, 8), 4.0)
    found = lookup_on_demand_cuda(one.to(dtype), [levels[0].to(dtype)], coords, radius, torch.float32)
    assert torch.isnan(found[0, (2 * radius + 1) ** 2 // 2, 4, 4])
    found[0, :, 4, 4] = 0
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("count", [1, 3])
def test_the_layout_in_memory_does_not_matter(
    variant: tuple[torch.dtype, int], layout: torch.memory_format, count: int
) -> None:
    one, levels = features(2, 64, 5, 7)
    coords = coordinates(2, 5, 7)
    one, coords, *levels = (x.contiguous(memory_format=layout) for x in (one, coords, *levels[:count]))
    close_to_the_reference(one, levels, coords, variant)


def test_windows_that_are_kept_change_nothing(variant: tuple[torch.dtype, int]) -> None:
    dtype, radius = variant
    one, levels = features(2, 64, 5, 9)
    one, levels = one.to(dtype), [level.to(dtype) for level in levels[:2]]
    kept = KeptOnCuda.none_yet(one.device, 2 * 5 * 9, 2, radius)
    coords = coordinates(2, 5, 9)
    for move in (0.0, 0.3, float("nan"), 0.0):
        found = lookup_on_demand_cuda(one, levels, coords + move, radius, torch.float32, kept)
        assert torch.equal(found, lookup_on_demand_cuda(one, levels, coords + move, radius, torch.float32))


def test_a_window_that_stays_is_not_computed_again(variant: tuple[torch.dtype, int]) -> None:
    dtype, radius = variant
    one, levels = features(1, 64, 9, 13)
    one, levels = one.to(dtype), [level.to(dtype) for level in levels]
    kept = KeptOnCuda.none_yet(one.device, 9 * 13, 4, radius)
    coords = torch.full((1, 2, 9, 13), 5.25)
    lookup_on_demand_cuda(one, levels, coords, radius, torch.float32, kept)
    kept.windows.fill_(7.0)
    coords[0, 0, 4, 3] = 6.75
    found = lookup_on_demand_cuda(one, levels, coords, radius, torch.float32, kept)
    moved = reference.lookup_on_demand(one.float(), [level.float() for level in levels], coords, radius)[..., 4, 3]
    side = 2 * radius + 1
    torch.testing.assert_close(found[0, : side**2, 4, 3], moved[0, : side**2], atol=TOLERANCE, rtol=0)
    found[0, : 2 * side**2, 4, 3] = 7.0  # it left its cell in the two finest levels
    assert (found == 7.0).all()


def test_room_for_other_windows_is_refused() -> None:
    one, levels = features(1, 64, 5, 7)
    kept = KeptOnCuda.none_yet(one.device, 5 * 7, 4, 3)
    with pytest.raises(ValueError, match=r"kept: expected windows of shape \(4, 35, 100\), found \(4, 35, 64\)"):
        lookup_on_demand_cuda(one, levels, coordinates(1, 5, 7), 4, torch.float32, kept)


@pytest.mark.parametrize(
    ("reaper", "broken"),
    [
        ("x < width && y < height ? y", "x < width && y < height + 1 ? y"),
        ("min(top + CELLS, level_height)", "top + CELLS"),
        ("first + row - PIXELS < cells", "first + row - PIXELS < cells + 40"),
    ],
)
def test_a_kernel_that_reads_too_far_is_caught(reaper: str, broken: str, tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    text = source(KERNEL.file)
    assert text.count(reaper) == 1
    defines = {"ELEMENT": 32, "RADIUS": 3, "__CUDA_ARCH__": 900}
    stand_in(monkeypatch, KernelOnCpu(KERNEL, tmp_path, text.replace(reaper, broken), **defines))
    one, levels = features(1, 32, 5, 5)
    with pytest.raises(KernelFailed, match="AddressSanitizer"):
        lookup_on_demand_cuda(one, levels[:1], torch.full((1, 2, 5, 5), 4.5), 3, torch.float32)


def test_a_number_of_channels_that_the_kernel_cannot_take_is_refused() -> None:
    with pytest.raises(ValueError, match=r"features1: expected a multiple of 32 channels in torch.float32, found 48"):
        check("features1", torch.zeros(1, 48, 2, 2))
    with pytest.raises(
        ValueError, match=r"levels2\[1\]: expected a multiple of 64 .* torch.float16, found 96; look up"
    ):
        check("levels2[1]", torch.zeros(1, 96, 2, 2, dtype=torch.float16))
    with pytest.raises(
        ValueError, match=r"expected less than 2\*\*31 times 16 bytes, found shape \(1, 256, 65536, 1024\)"
    ):
        check("features1", torch.empty(1, 256, 65536, 1024, device="meta"))
