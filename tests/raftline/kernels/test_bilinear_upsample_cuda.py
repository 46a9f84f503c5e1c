"""cuda/bilinear_upsample.cu without a GPU: its arithmetic is the reference's, and it writes the crop alone."""

from __future__ import annotations

import pytest
import torch

from raftline.kernels.bilinear_upsample import reference
from raftline.kernels.bilinear_upsample.cuda import KERNEL, bilinear_upsample_cuda
from raftline.kernels.cuda_kernel import NUMBER
from tests.raftline.kernels.kernel_on_cpu import KernelOnCpu, stand_in
from tests.raftline.kernels.upsampling import SIZES, crops, flow_and_mask

# A coordinate is off by a rounding of up to 100 cells, times a slope of up to 80 px per cell; half precision rounds
# values up to 100 px besides.
TOLERANCE_PX = {torch.float32: 1e-3, torch.float16: 2 * 64 * 2.0**-11}


@pytest.mark.parametrize("dtype", list(TOLERANCE_PX))
def test_the_kernels_arithmetic_is_the_references(
    dtype: torch.dtype, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, KernelOnCpu(KERNEL, tmp_path_factory.mktemp("bilinear_upsample"), FINE=NUMBER[dtype]))
    for size in SIZES:
        flow, _ = flow_and_mask(*size)
        expected = reference.bilinear_upsample(flow)
        for crop in crops(*size[1:]):
            found = bilinear_upsample_cuda(flow, crop, dtype)
            assert found.dtype is dtype and found.permute(0, 2, 3, 1).is_contiguous()
            torch.testing.assert_close(found.float(), crop.of(expected), atol=TOLERANCE_PX[dtype], rtol=0)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", list(TOLERANCE_PX))
@pytest.mark.parametrize("size", [*SIZES, (2, 135, 240)])
def test_the_cuda_kernel_is_its_plain_twin_on_a_second_stream(size: tuple[int, int, int], dtype: torch.dtype) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device: the kernel was not run on one")
    flow = flow_and_mask(*size)[0].cuda()
    with torch.cuda.stream(torch.cuda.Stream()):
        expected = reference.bilinear_upsample(flow)
        found = {crop: bilinear_upsample_cuda(flow, crop, dtype) for crop in crops(*size[1:])}
    torch.cuda.synchronize()
    for crop, one in found.items():
        torch.testing.assert_close(one.float(), crop.of(expected), atol=TOLERANCE_PX[dtype], rtol=0)
