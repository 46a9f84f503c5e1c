"""What is asked of a device, on a GPU and in a dry run alike."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable

import torch

from benchmarks.flow.limits import synchronise


def milliseconds(run: Callable[[], object], device: torch.device) -> float:
    """Of one run, the device synchronised before and after."""
    synchronise(device)
    begin = time.perf_counter()
    run()
    synchronise(device)
    return 1e3 * (time.perf_counter() - begin)


def forget_peak(device: torch.device) -> None:
    """Begin to look for the greatest use of memory anew; what is free goes back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak_gb(device: torch.device) -> float:
    """Most memory that torch had in use on the GPU since then; on a CPU, that of the process so far."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 1e9, 3)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 3)
