"""The lookup on CUDA: `cuda/lookup.cu`, compiled by CuPy at first use, once per device and dtype."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

SOURCE = Path(__file__).parent / "cuda" / "lookup.cu"
ELEMENT = {torch.float32: 32, torch.float16: 16, torch.bfloat16: 116}
_BLOCK = 256
_LEVEL_SLOTS = 4


def lookup_cuda(levels: list[Tensor], coords: Tensor, radius: int) -> Tensor:
    """As `stages.kernels.lookup.lookup`, arguments already checked, on torch's current stream, without a copy."""
    import cupy  # here: importing this module must neither need nor compile anything

    batch, _, height, width = coords.shape
    side = 2 * radius + 1
    plane = height * width
    pixels = batch * plane
    coords = coords.contiguous()
    out = torch.empty(batch, height, width, len(levels) * side * side, dtype=levels[0].dtype, device=coords.device)
    unused = _LEVEL_SLOTS - len(levels)
    arguments = (
        *(np.uint64(level.data_ptr()) for level in levels),
        *(np.uint64(0),) * unused,
        np.uint64(coords.data_ptr()),
        np.uint64(out.data_ptr()),
        *(np.int32(level.shape[3]) for level in levels),
        *(np.int32(1),) * unused,
        *(np.int32(level.shape[4]) for level in levels),
        *(np.int32(1),) * unused,
        np.int64(pixels),
        np.int64(plane),
        np.int32(len(levels)),
        np.int32(radius),
    )
    threads = pixels * len(levels) * side
    index = coords.device.index
    stream = cupy.cuda.ExternalStream(torch.cuda.current_stream(coords.device).cuda_stream, index)
    with cupy.cuda.Device(index), stream:
        _kernel(index, levels[0].dtype)((-(-threads // _BLOCK),), (_BLOCK,), arguments)
    return out.permute(0, 3, 1, 2)


@functools.cache
def _kernel(device_index: int, dtype: torch.dtype) -> Any:
    """The compiled function; the caller has made `device_index` CuPy's current device."""
    import cupy

    options = ("--std=c++17", f"-DELEMENT={ELEMENT[dtype]}")
    return cupy.RawModule(code=SOURCE.read_text(), options=options).get_function("lookup")
