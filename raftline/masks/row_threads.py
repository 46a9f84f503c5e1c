"""A loop over the points of a grid, shared out over as many threads as OpenCV uses."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

_LEAST_ROWS = 64
"""Of a thread: with fewer, handing over the work takes longer than doing it."""


def by_rows(loop: Callable[..., None], *arrays: np.ndarray) -> None:
    """Call loop(*arrays) on some rows of each array in each thread, and wait for all.

    What a point becomes must not depend on other rows, and `loop` must release the GIL.
    """
    rows = arrays[0].shape[0]
    threads = max(1, min(cv2.getNumThreads(), rows // _LEAST_ROWS))
    edges = [rows * number // threads for number in range(threads + 1)]
    parts = [[array[begin:end] for array in arrays] for begin, end in itertools.pairwise(edges)]
    pending = [_pool(threads - 1).submit(loop, *part) for part in parts[1:]]
    loop(*parts[0])
    for future in pending:
        future.result()


@functools.lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="rows")
