"""cuda/lookup.cu without a GPU: it compiles, and its arithmetic is the reference's."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from stages.kernels import reference
from stages.kernels.lookup_cuda import ELEMENT, SOURCE, _kernel, lookup_cuda
from tests.kernels.cuda_on_cpu import compile_on_cpu
from tests.kernels.nvrtc import CompilationFailed, compile_cubin
from tests.kernels.pyramids import coordinates, pyramid

ENTRY = """
extern "C" void run(const element* const* levels, const float* coords, element* out, const int* heights,
                    const int* widths, long long pixels, long long plane, int count, int radius, unsigned int grid) {
    launch(grid, 64, lookup, levels[0], levels[1], levels[2], levels[3], coords, out, heights[0], heights[1],
           heights[2], heights[3], widths[0], widths[1], widths[2], widths[3], pixels, plane, count, radius);
}
extern "C" void run_flat(unsigned int grid, unsigned int block, const element* l0, const element* l1,
                         const element* l2, const element* l3, const float* coords, element* out, int h0, int h1,
                         int h2, int h3, int w0, int w1, int w2, int w3, long long pixels, long long plane, int count,
                         int radius) {
    launch(grid, block, lookup, l0, l1, l2, l3, coords, out, h0, h1, h2, h3, w0, w1, w2, w3, pixels, plane, count,
           radius);
}
"""

# Half and bfloat16 levels are compared with the reference on the same rounded levels in float32; what is left is the
# rounding of the result: 2^-11 and 2^-8 of values up to 4.
TOLERANCE = {torch.float32: 2e-6, torch.float16: 4 * 2.0**-11, torch.bfloat16: 4 * 2.0**-8}


def run_on_cpu(library: ctypes.CDLL, levels: list[Tensor], coords: Tensor, radius: int) -> Tensor:
    batch, _, height, width = coords.shape
    side, pixels = 2 * radius + 1, batch * height * width
    out = torch.full((batch, height, width, len(levels) * side * side), 77.0, dtype=levels[0].dtype)
    padded = [*levels, *[levels[0]] * (4 - len(levels))]
    pointers = (ctypes.c_void_p * 4)(*(level.data_ptr() for level in padded))
    heights = (ctypes.c_int * 4)(*(level.shape[3] for level in padded))
    widths = (ctypes.c_int * 4)(*(level.shape[4] for level in padded))
    grid = -(-pixels * len(levels) * side // 64)
    library.run(
        pointers,
        ctypes.c_void_p(coords.data_ptr()),
        ctypes.c_void_p(out.data_ptr()),
        heights,
        widths,
        ctypes.c_longlong(pixels),
        ctypes.c_longlong(height * width),
        len(levels),
        radius,
        grid,
    )
    return out.permute(0, 3, 1, 2)


@pytest.fixture(scope="module", params=list(ELEMENT), ids=str)
def compiled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[torch.dtype, ctypes.CDLL]:
    dtype: torch.dtype = request.param
    folder: Path = tmp_path_factory.mktemp("lookup")
    return dtype, compile_on_cpu(SOURCE, folder, ENTRY, f"-DELEMENT={ELEMENT[dtype]}")


@pytest.mark.parametrize("radius", [3, 4])
@pytest.mark.parametrize(("batch", "height", "width"), [(1, 16, 16), (2, 9, 13), (1, 1, 1), (1, 17, 8), (3, 8, 23)])
def test_the_kernels_arithmetic_is_the_references(
    compiled: tuple[torch.dtype, ctypes.CDLL], batch: int, height: int, width: int, radius: int
) -> None:
    dtype, library = compiled
    levels = [level.to(dtype) for level in pyramid(batch, height, width)]
    coords = coordinates(batch, height, width)
    found = run_on_cpu(library, levels, coords, radius)
    expected = reference.lookup([level.float() for level in levels], coords, radius)
    torch.testing.assert_close(found.float(), expected, atol=TOLERANCE[dtype], rtol=0)


def test_the_kernel_reads_nothing_outside_its_pixels_plane(compiled: tuple[torch.dtype, ctypes.CDLL]) -> None:
    dtype, library = compiled
    # Pixel 1 is asked for; the planes before and after it, where a read out of bounds would land, are NaN.
    levels = [torch.full((1, 1, 3, size, size), torch.nan) for size in (9, 4, 2, 1)]
    for level in levels:
        level[:, :, 1] = 1.0
    coords = torch.zeros(1, 2, 1, 3)
    for x in torch.arange(-16.0, 26.0, 0.75):
        coords[0, 0], coords[0, 1] = x, 4 - x
        found = run_on_cpu(library, [level.to(dtype) for level in levels], coords, 4)
        assert torch.isfinite(found[..., 1].float()).all()


@pytest.mark.parametrize("undefined", [float("nan"), float("inf"), -float("inf"), 3e38])
def test_a_window_at_an_undefined_coordinate_is_zero(
    compiled: tuple[torch.dtype, ctypes.CDLL], undefined: float
) -> None:
    dtype, library = compiled
    levels = [level.to(dtype) for level in pyramid(1, 8, 8)]
    coords = coordinates(1, 8, 8)
    coords[0, 0, 2, 3] = undefined
    coords[0, 1, 5, 6] = undefined
    found = run_on_cpu(library, levels, coords, 3)
    assert (found[0, :, 2, 3] == 0).all()
    assert (found[0, :, 5, 6] == 0).all()
    assert torch.isfinite(found.float()).all()


class CupyOnCpu:
    """The part of CuPy that the wrapper uses, with the kernel compiled by g++ behind it."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.library = library
        self.cuda = self
        self.ExternalStream = lambda pointer, device: nullcontext()
        self.Device = lambda index: nullcontext()

    def RawModule(self, code: str, options: tuple[str, ...]) -> CupyOnCpu:
        assert code == SOURCE.read_text() and len(options) == 2
        return self

    def get_function(self, name: str) -> Callable[..., None]:
        assert name == "lookup"
        as_c = {np.uint64: ctypes.c_void_p, np.int64: ctypes.c_longlong, np.int32: ctypes.c_int}

        def run(grid: tuple[int], block: tuple[int], arguments: tuple[np.generic, ...]) -> None:
            self.library.run_flat(*grid, *block, *(as_c[type(argument)](argument.item()) for argument in arguments))

        return run


@pytest.mark.parametrize("levels", [1, 4])
def test_the_wrapper_gives_the_kernel_what_it_expects(
    compiled: tuple[torch.dtype, ctypes.CDLL], levels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dtype, library = compiled
    monkeypatch.setitem(sys.modules, "cupy", CupyOnCpu(library))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(cuda_stream=0))
    pyramid_part = [level.to(dtype) for level in pyramid(2, 9, 13)[:levels]]
    coords = coordinates(2, 9, 13).contiguous(memory_format=torch.channels_last)
    _kernel.cache_clear()
    found = lookup_cuda(pyramid_part, coords, 3)
    _kernel.cache_clear()
    expected = reference.lookup([level.float() for level in pyramid_part], coords, 3)
    torch.testing.assert_close(found.float(), expected, atol=TOLERANCE[dtype], rtol=0)


@pytest.mark.parametrize("element", list(ELEMENT.values()))
@pytest.mark.parametrize("architecture", [75, 80, 86, 89, 90, 100])
def test_the_kernel_compiles_for_each_architecture_without_spills(architecture: int, element: int) -> None:
    cubin, log = compile_cubin(
        SOURCE.read_text(),
        "lookup.cu",
        "--std=c++17",
        f"-DELEMENT={element}",
        f"--gpu-architecture=sm_{architecture}",
        "--ptxas-options=-v",
    )
    assert cubin.startswith(b"\x7fELF")
    if "spill" in log:
        assert "0 bytes spill stores, 0 bytes spill loads" in log, log


def test_a_kernel_that_does_not_compile_says_where() -> None:
    with pytest.raises(CompilationFailed, match="ELEMENT must be"):
        compile_cubin(SOURCE.read_text(), "lookup.cu", "-DELEMENT=7", "--gpu-architecture=sm_80")
