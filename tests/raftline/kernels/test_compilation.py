"""Every .cu file compiles for every architecture without spills, and the check would notice one that does not."""

from __future__ import annotations

import pytest

from raftline.kernels.cuda_kernel import source
from tests.raftline.kernels.compilation import ARCHITECTURES, CompilationFailed, compile_variant, files, variants
from tests.raftline.kernels.resource_table import resource_table


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("file", files())
def test_every_variant_compiles_without_spills(file: str, architecture: int) -> None:
    found = [one for defines in variants(file) for one in compile_variant(file, architecture, defines)]
    print(resource_table(found))
    assert [one for one in found if one.spilled_bytes > 0 or one.stack_bytes > 0] == []


def test_every_file_declares_its_variants() -> None:
    assert {"lookup/lookup.cu"} <= set(files())
    assert len(variants("lookup/lookup.cu")) >= 3


def test_a_kernel_that_does_not_compile_says_where() -> None:
    with pytest.raises(CompilationFailed, match=r"lookup\.cu\(\d+\): error"):
        compile_variant(
            "lookup/lookup.cu", 80, variants("lookup/lookup.cu")[0], source("lookup/lookup.cu") + "\nthis is no C++"
        )


def test_spills_and_stack_frames_are_seen() -> None:
    # 100 numbers wait for a barrier in the 64 registers that 1024 threads leave to each.
    text = """
    extern "C" __global__ void __launch_bounds__(1024) greedy(float* at) {
        float kept[100];
        for (int i = 0; i < 100; ++i) kept[i] = at[i * 1024 + threadIdx.x];
        __syncthreads();
        for (int i = 0; i < 100; ++i) at[(99 - i) * 1024 + threadIdx.x] = kept[i];
    }
    """
    (found,) = compile_variant("greedy.cu", 80, {}, text)
    assert found.function == "greedy"
    assert found.stack_bytes > 0 and found.spilled_bytes > 0
