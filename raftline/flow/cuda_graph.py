"""Work on a GPU recorded once and replayed with one launch."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

_WARM_UP_RUNS = 3
"""Runs before a recording, in which kernels are compiled and libraries choose their algorithms; PyTorch's
documentation of CUDA graphs warms up with 3, too."""


Capture = Callable[[Callable[..., T], Sequence[Tensor]], Callable[..., T]]
"""(a function of tensors, arguments of the shapes to record) -> its recording.

The function must not look at values. The recording copies its arguments into the recorded ones, replays, and returns
the recorded results: the same tensors at each call, overwritten by the next.
"""


class GraphPool:
    """Records functions whose replays follow one another, in one pool of memory: a `Capture`."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, run: Callable[..., T], arguments: Sequence[Tensor]) -> "_Graph[T]":
        return _Graph(run, arguments, self._pool)


class _Graph(Generic[T]):
    def __init__(self, run: Callable[..., T], arguments: Sequence[Tensor], pool: Any) -> None:
        self._inputs = [argument.clone() for argument in arguments]
        with torch.cuda.device(self._inputs[0].device):
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(_WARM_UP_RUNS):
                    run(*self._inputs)
            torch.cuda.current_stream().wait_stream(side)
            self._graph = torch.cuda.CUDAGraph()
            # thread_local: another thread of the process, such as a decoder's, may use the GPU meanwhile.
            with torch.cuda.graph(self._graph, pool=pool, capture_error_mode="thread_local"):
                self._outputs = run(*self._inputs)

    def __call__(self, *arguments: Tensor) -> T:
        for recorded, argument in zip(self._inputs, arguments, strict=True):
            recorded.copy_(argument)
        self._graph.replay()
        return self._outputs
