"""CPU kernels, compiled at their first call."""

import functools
import threading
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar, overload

_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])

_FIRST_CALL = threading.RLock()


@overload
def compiled(kernel: _Kernel) -> _Kernel: ...
@overload
def compiled(*, fastmath: set[str]) -> Callable[[_Kernel], _Kernel]: ...
def compiled(kernel: Callable[..., Any] | None = None, *, fastmath: bool | set[str] = False) -> Callable[..., Any]:
    """Decorator: compile `kernel` with numba at its first call; it runs without the GIL.

    Its arguments are given by position. It may call other kernels that its module names, which become part of its
    machine code. That is cached on disk for the next process where a folder is writable. `__wrapped__` is the kernel in
    Python, `dispatcher()` numba's.

    Args:
        fastmath: LLVM's fast-math flags.
    """
    return functools.partial(_lazy, fastmath) if kernel is None else _lazy(fastmath, kernel)


def _lazy(fastmath: bool | set[str], kernel: Callable[..., Any]) -> Callable[..., Any]:
    dispatcher: Callable[..., Any] | None = None

    def made() -> Callable[..., Any]:
        nonlocal dispatcher
        with _FIRST_CALL:  # threads that meet here get the same one, which compiles once for them all
            dispatcher = dispatcher or _dispatcher(fastmath, kernel)
        return dispatcher

    @functools.wraps(kernel)
    def call(*arguments: Any) -> Any:
        return (dispatcher or made())(*arguments)

    call.dispatcher = made  # type: ignore[attr-defined]
    return call


def _dispatcher(fastmath: bool | set[str], kernel: Callable[..., Any]) -> Callable[..., Any]:
    import numba  # here: importing a kernel's module must neither need nor compile anything

    from raftline.kernels.kernel_cache import KernelCache

    called = _called(kernel)
    if called:
        kernel = functools.update_wrapper(FunctionType(kernel.__code__, {**kernel.__globals__, **called}), kernel)
    try:
        dispatcher: Any = numba.njit(nogil=True, error_model="numpy", fastmath=fastmath, cache=True)(kernel)
        dispatcher._cache = KernelCache(kernel, called.values())
        return dispatcher
    except RuntimeError:  # neither beside the source nor in the home folder may a cache be written
        return numba.njit(nogil=True, error_model="numpy", fastmath=fastmath)(kernel)


def _called(kernel: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """Return the kernels that a kernel calls, as the compiler takes them."""
    named = ((name, kernel.__globals__.get(name)) for name in kernel.__code__.co_names)
    return {name: each.dispatcher() for name, each in named if each is not None and hasattr(each, "dispatcher")}
