"""A stand-in for the capture of a CUDA graph on the CPU: it refuses what a capture refuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.raftline.kernels.strict_cupy import StrictCupy

_LOOKS_AT_VALUES = (
    "_local_scalar_dense",  # item(), float(), bool() and the like: the host waits
    "nonzero",
    "masked_select",
    "unique",
    "equal",
    "is_nonzero",
)
_FROM_THE_HOST = ("lift_fresh",)
"""torch.tensor(...) of numbers: on a GPU a copy from the host's pageable memory."""


class CaptureRefused(AssertionError):
    """What cudaStreamBeginCapture would answer with an error."""


class _Watch(TorchDispatchMode):
    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        name = function.name().partition("::")[2].partition(".")[0]
        if name.startswith(_LOOKS_AT_VALUES):
            raise CaptureRefused(f"{name}: the host would have to wait for values")
        if name.startswith("index") and any(_is_mask(one) for one in arguments[1] if name != "index_select"):
            raise CaptureRefused(f"{name}: by a mask, whose number of elements the host would have to wait for")
        if name in _FROM_THE_HOST:
            raise CaptureRefused(f"{name}: numbers are copied from the host")
        return function(*arguments, **(named or {}))


def _is_mask(index: Any) -> bool:
    return isinstance(index, Tensor) and index.dtype is torch.bool


class StrictCapture:
    """A `raftline.flow.cuda_graph.Capture`. It lets torch allocate, whose allocator hides that from a capture."""

    cupy: StrictCupy | None = None
    """Is told when it is captured."""

    def __call__(self, run: Callable[..., Any], arguments: Sequence[Tensor]) -> Callable[..., Any]:
        inputs = [argument.clone() for argument in arguments]
        run(*inputs)  # kernels may be compiled here
        recorded = self._captured(run, inputs)

        def replay(*later: Tensor) -> Any:
            for place, argument in zip(inputs, later, strict=True):
                place.copy_(argument)
            return recorded

        return replay

    def _captured(self, run: Callable[..., Any], inputs: list[Tensor]) -> Any:
        if self.cupy is not None:
            self.cupy.capturing = True
        waits = torch.cuda.synchronize
        torch.cuda.synchronize = _refuse_to_wait  # type: ignore[assignment]
        try:
            with _Watch():
                return run(*inputs)
        finally:
            torch.cuda.synchronize = waits
            if self.cupy is not None:
                self.cupy.capturing = False


def _refuse_to_wait(*_: Any) -> None:
    raise CaptureRefused("torch.cuda.synchronize: the host would have to wait")
