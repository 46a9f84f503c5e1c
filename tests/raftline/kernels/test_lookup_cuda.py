"""cuda/lookup.cu without a GPU: its arithmetic is the reference's, and it reads nothing that it must not."""

from __future__ import annotations

import pytest
import torch

from raftline.kernels.cuda_kernel import NUMBER, source
from raftline.kernels.lookup import reference
from raftline.kernels.lookup.cuda import KERNEL, lookup_cuda
from tests.raftline.kernels.kernel_on_cpu import KernelFailed, KernelOnCpu, stand_in
from tests.raftline.kernels.pyramids import coordinates, pyramid

# Half and bfloat16 are compared with the reference on the same rounded levels in float32; what is left is the
# rounding of the result: 2^-11 and 2^-8 of values up to 4.
TOLERANCE = {torch.float32: 2e-6, torch.float16: 4 * 2.0**-11, torch.bfloat16: 4 * 2.0**-8}
DTYPES = list(NUMBER)
SHAPES = [(1, 16, 16), (2, 9, 13), (1, 1, 1), (1, 17, 8), (3, 8, 23)]

Variant = tuple[torch.dtype, int]
VARIANTS: list[Variant] = [(torch.float32, 3), (torch.float32, 4), (torch.float16, 4), (torch.bfloat16, 3)]
Compiled = dict[Variant, KernelOnCpu]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    return {
        (dtype, radius): KernelOnCpu(KERNEL, tmp_path_factory.mktemp("lookup"), ELEMENT=NUMBER[dtype], RADIUS=radius)
        for dtype, radius in VARIANTS
    }


@pytest.fixture(params=VARIANTS, ids=str)
def variant(request: pytest.FixtureRequest, compiled: Compiled, monkeypatch: pytest.MonkeyPatch) -> Variant:
    """A dtype of the levels and a radius, with its kernel standing in for CUDA's."""
    stand_in(monkeypatch, compiled[request.param])
    return request.param


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_kernels_arithmetic_is_the_references(variant: Variant, shape: tuple[int, int, int]) -> None:
    dtype, radius = variant
    levels, coords = [level.to(dtype) for level in pyramid(*shape)], coordinates(*shape)
    found = lookup_cuda(levels, coords, radius, dtype)
    expected = reference.lookup([level.float() for level in levels], coords, radius)
    assert found.dtype is dtype and found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found.float(), expected, atol=TOLERANCE[dtype], rtol=0)


@pytest.mark.parametrize("out_dtype", DTYPES, ids=str)
@pytest.mark.parametrize("count", [1, 3])
def test_the_windows_come_in_the_type_that_was_asked_for(variant: Variant, out_dtype: torch.dtype, count: int) -> None:
    dtype, radius = variant
    levels, coords = [level.to(dtype) for level in pyramid(1, 5, 7)[:count]], coordinates(1, 5, 7)
    found = lookup_cuda(levels, coords, radius, out_dtype)
    expected = reference.lookup([level.float() for level in levels], coords, radius)
    assert found.dtype is out_dtype
    torch.testing.assert_close(found.float(), expected, atol=TOLERANCE[out_dtype], rtol=0)


@pytest.mark.parametrize("undefined", [float("nan"), float("inf"), -float("inf"), 3e38])
def test_a_window_at_an_undefined_coordinate_is_zero(variant: Variant, undefined: float) -> None:
    dtype, radius = variant
    levels, coords = [level.to(dtype) for level in pyramid(1, 8, 8)], coordinates(1, 8, 8)
    coords[0, 0, 2, 3] = undefined
    coords[0, 1, 5, 6] = undefined
    found = lookup_cuda(levels, coords, radius, dtype)
    assert (found[0, :, 2, 3] == 0).all()
    assert (found[0, :, 5, 6] == 0).all()
    assert torch.isfinite(found.float()).all()


def test_the_kernel_reads_nothing_outside_its_pixels_plane(variant: Variant) -> None:
    dtype, radius = variant
    # In the odd planes, where a read out of a pixel's own plane would land, all is NaN.
    xs = torch.arange(-16.0, 26.0, 0.75)
    levels = [torch.full((1, 1, 2 * len(xs) + 1, size, size), torch.nan) for size in (9, 4, 2, 1)]
    coords = torch.zeros(1, 2, 1, 2 * len(xs) + 1)
    for level in levels:
        level[:, :, 1::2] = 1.0
    coords[0, 0, 0, 1::2], coords[0, 1, 0, 1::2] = xs, 4 - xs
    found = lookup_cuda([level.to(dtype) for level in levels], coords, radius, dtype)
    assert torch.isfinite(found[..., 1::2].float()).all()


@pytest.mark.parametrize("layout", ["contiguous", "channels-last", "a part of wider rows"])
def test_coordinates_are_read_as_they_lie(variant: Variant, layout: str) -> None:
    dtype, radius = variant
    levels, coords = [level.to(dtype) for level in pyramid(2, 5, 7)], coordinates(2, 5, 7)
    expected = lookup_cuda(levels, coords, radius, dtype)
    if layout == "channels-last":
        coords = coords.contiguous(memory_format=torch.channels_last)
    elif layout == "a part of wider rows":
        coords = torch.nn.functional.pad(coords, (0, 3))[..., :7]
    assert torch.equal(lookup_cuda(levels, coords, radius, dtype), expected)


@pytest.mark.parametrize(
    ("reaper", "broken"),
    [
        ("< (unsigned int)height", "<= (unsigned int)height + 8"),
        ("place.left < width", "true"),
        ("pixels * levels - first", "pixels * levels + 5 - first"),
    ],
)
def test_a_kernel_that_reads_or_writes_too_far_is_caught(reaper: str, broken: str, tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    text = source(KERNEL.file)
    assert text.count(reaper) == 1
    stand_in(monkeypatch, KernelOnCpu(KERNEL, tmp_path, text.replace(reaper, broken), ELEMENT=32, RADIUS=3))
    levels, coords = pyramid(1, 9, 9), coordinates(1, 9, 9)
    coords[:, :, 0, 0], coords[:, :, -1, -1] = -1.0, 8.5
    with pytest.raises(KernelFailed, match="AddressSanitizer"):
        lookup_cuda(levels, coords, 3, torch.float32)
