"""A loop over pixels, shared among as many threads as torch uses."""

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

_LEAST_SHARE = 256
"""Pixels per thread, at least: for less a thread is not worth its start. Chosen by hand."""


def in_threads(run: Callable[[int, int], None], count: int) -> None:
    """Call run(begin, end) for parts of range(count) in parallel, and wait for all. `run` releases the GIL.

    Numba's own pool is not used: two threads must not enter it at once, as the sessions of two sources may do.
    """
    threads = max(1, min(torch.get_num_threads(), count // _LEAST_SHARE))
    if threads == 1:
        run(0, count)
        return
    edges = [count * number // threads for number in range(threads + 1)]
    pending = [_pool(threads - 1).submit(run, edges[n], edges[n + 1]) for n in range(1, threads)]
    run(0, edges[1])
    for future in pending:
        future.result()


@functools.lru_cache(maxsize=4)  # a process has one number of threads, few change it
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="kernels")
