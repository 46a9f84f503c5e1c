"""Kernels that were compiled before, loaded without what compiling them would take."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from numba.core.caching import FunctionCache
from numba.core.runtime.nrt import rtsys


class KernelCache(FunctionCache):
    """numba's cache on disk, which loads machine code alone.

    numba's own readies the compiler first: it registers all that numba can compile, and imports scipy.linalg for it,
    0.37 of the 0.45 CPU seconds that the first kernel of a process takes. A kernel that is not in the cache is compiled
    as ever, and the compiler readies itself. numba 0.61 to 0.68 agree in what is used of them here.
    """

    def __init__(self, kernel: Callable[..., Any], called: Iterable[Any] = ()) -> None:
        """Find the place of a kernel, which is compiled anew if its file or that of a kernel that it calls changes.

        Args:
            kernel: The kernel in Python.
            called: numba's dispatchers of the kernels that it calls.
        """
        super().__init__(kernel)
        self._files = tuple(getattr(each._cache, "files", None) for each in called)

    @property
    def files(self) -> tuple[Any, ...]:
        """Stamps of the files that the machine code is made from."""
        return self._impl.locator.get_source_stamp(), self._files

    def keeps_any(self) -> bool:
        """Tell whether the kernel was compiled for some arguments, from this source and by this numba."""
        return bool(self._cache_file._load_index())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Load a kernel for arguments of these types; None if it is not there."""
        rtsys.initialize(target_context)  # what kernels that make arrays are linked with
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return *super()._index_key(sig, codegen), self._files
