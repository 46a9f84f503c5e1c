"""CPU kernels become machine code at their first use."""

from collections.abc import Callable
from typing import Any


def compiled(kernel: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """`kernel` compiled by numba, without the GIL, kept on disk for the next process where a folder lets it."""
    import numba  # here: importing a kernel's module must neither need nor compile anything

    try:
        return numba.njit(nogil=True, error_model="numpy", cache=True, **options)(kernel)
    except RuntimeError:  # neither beside the source nor in the home folder may a cache be written
        return numba.njit(nogil=True, error_model="numpy", **options)(kernel)
