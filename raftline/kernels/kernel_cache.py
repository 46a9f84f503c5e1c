"""Kernels that were compiled before, loaded without what compiling them would take."""

from __future__ import annotations

from typing import Any

from numba.core.caching import FunctionCache
from numba.core.runtime.nrt import rtsys


class KernelCache(FunctionCache):
    """numba's cache on disk, which loads machine code alone.

    numba's own readies the compiler first: it registers all that numba can compile, and imports scipy.linalg for it,
    0.37 of the 0.45 CPU seconds that the first kernel of a process takes. A kernel that is not in the cache is compiled
    as ever, and the compiler readies itself. numba 0.61 to 0.68 agree in what is used of them here.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Load a kernel for arguments of these types; None if it is not there."""
        rtsys.initialize(target_context)  # what kernels that make arrays are linked with
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)

    def keeps_any(self) -> bool:
        """Tell whether the kernel was compiled for some arguments, from this source and by this numba."""
        return bool(self._cache_file._load_index())
