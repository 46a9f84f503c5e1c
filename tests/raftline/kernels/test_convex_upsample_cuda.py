"""cuda/convex_upsample.cu without a GPU: its arithmetic is the reference's, and it writes the crop alone."""

from __future__ import annotations

import pytest
import torch

from raftline.kernels.convex_upsample import reference
from raftline.kernels.convex_upsample.cuda import KERNEL, convex_upsample_cuda
from raftline.kernels.cuda_kernel import NUMBER
from tests.raftline.kernels.kernel_on_cpu import KernelOnCpu, stand_in
from tests.raftline.kernels.upsampling import SIZES, crops, flow_and_mask

# The reference gets the rounded weights; what is left are a few roundings of values up to 100 px, and for half
# precision that of the result.
TOLERANCE_PX = {torch.float32: 1e-4, torch.float16: 2 * 64 * 2.0**-11}
VARIANTS = [(torch.float32, torch.float32), (torch.float16, torch.float16), (torch.bfloat16, torch.float32)]


@pytest.fixture(scope="module", params=VARIANTS, ids=str)
def compiled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[torch.dtype, torch.dtype, KernelOnCpu]:
    mask_dtype, dtype = request.param
    folder = tmp_path_factory.mktemp("convex_upsample")
    return mask_dtype, dtype, KernelOnCpu(KERNEL, folder, MASK=NUMBER[mask_dtype], FINE=NUMBER[dtype])


def test_the_kernels_arithmetic_is_the_references(
    compiled: tuple[torch.dtype, torch.dtype, KernelOnCpu], monkeypatch: pytest.MonkeyPatch
) -> None:
    mask_dtype, dtype, kernel = compiled
    stand_in(monkeypatch, kernel)
    for size in SIZES:
        flow, mask = flow_and_mask(*size)
        mask = mask.to(mask_dtype)
        expected = reference.convex_upsample(flow, mask)
        for crop in crops(*size[1:]):
            found = convex_upsample_cuda(flow, mask, crop, dtype)
            assert found.dtype is dtype and found.permute(0, 2, 3, 1).is_contiguous()
            torch.testing.assert_close(found.float(), crop.of(expected), atol=TOLERANCE_PX[dtype], rtol=0)


def test_an_undefined_weight_makes_its_own_pixel_undefined_and_no_other(
    compiled: tuple[torch.dtype, torch.dtype, KernelOnCpu], monkeypatch: pytest.MonkeyPatch
) -> None:
    mask_dtype, dtype, kernel = compiled
    stand_in(monkeypatch, kernel)
    flow, mask = flow_and_mask(1, 5, 6)
    mask[0, 4 * 64 + 2 * 8 + 3, 1, 2] = float("nan")
    undefined = convex_upsample_cuda(flow, mask.to(mask_dtype), crops(5, 6)[0], dtype).isnan()
    assert undefined.sum() == 2 and undefined[0, :, 8 + 2, 2 * 8 + 3].all()


@pytest.mark.gpu
@pytest.mark.parametrize(("mask_dtype", "dtype"), [*VARIANTS, (torch.float32, torch.float16)])
@pytest.mark.parametrize("size", [*SIZES, (1, 135, 240)])
def test_the_cuda_kernel_is_its_plain_twin_on_a_second_stream(
    size: tuple[int, int, int], mask_dtype: torch.dtype, dtype: torch.dtype
) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device: the kernel was not run on one")
    flow, mask = (tensor.cuda() for tensor in flow_and_mask(*size))
    mask = mask.to(mask_dtype)
    with torch.cuda.stream(torch.cuda.Stream()):
        expected = reference.convex_upsample(flow, mask)
        found = {crop: convex_upsample_cuda(flow, mask, crop, dtype) for crop in crops(*size[1:])}
        from_planes = convex_upsample_cuda(flow, mask.contiguous(), crops(*size[1:])[0], dtype)
    torch.cuda.synchronize()
    for crop, one in found.items():
        torch.testing.assert_close(one.float(), crop.of(expected), atol=TOLERANCE_PX[dtype], rtol=0)
    assert torch.equal(from_planes, found[crops(*size[1:])[0]])


@pytest.mark.gpu
def test_the_cuda_kernel_can_be_recorded() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device: the kernel was not run on one")
    flow, mask = (tensor.cuda() for tensor in flow_and_mask(1, 17, 30))
    crop = crops(17, 30)[1]
    once = convex_upsample_cuda(flow, mask, crop, torch.float16)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        recorded = convex_upsample_cuda(flow, mask, crop, torch.float16)
    graph.replay()
    assert torch.equal(recorded, once)
