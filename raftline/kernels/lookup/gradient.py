"""The lookup with gradients: a kernel for the forward pass, and one for the backward pass that adds window by window.

The gradient of a level is as large as the level, and one lookup fills only a few cells of each plane. Autograd would
make such a gradient for each update and sum them; `SharedLevels` lets all lookups of the same levels add to one.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from raftline.kernels.lookup.backward_cpu import lookup_backward_cpu
from raftline.kernels.lookup.backward_cuda import lookup_backward_cuda

_BACKWARD = {
    ("cupy", torch.float32): lookup_backward_cuda,
    ("cupy", torch.float16): lookup_backward_cuda,
    ("cupy", torch.bfloat16): lookup_backward_cuda,
    ("numba", torch.float32): lookup_backward_cpu,
}

Forward = Callable[[list[Tensor], Tensor, int, torch.dtype], Tensor]


class _Sums:
    """What lookups have brought back so far. An object of its own: the graph holds it, and must not hold the levels,
    which hold the graph."""

    def __init__(self) -> None:
        self.gradients: list[Tensor] | None = None
        """None before the first lookup's backward pass and after the last one's."""

    def take(self) -> list[Tensor] | None:
        """Hand them over."""
        gradients, self.gradients = self.gradients, None
        return gradients


class SharedLevels(list[Tensor]):
    """Levels of a pyramid that are looked up more than once: the lookups add their gradients to one buffer.

    The gradients reach the tensors that it was made of when all lookups have brought back theirs. The result is that
    of plain lookups, in less memory and time.
    """

    def __init__(self, levels: Iterable[Tensor]) -> None:
        self.sums = _Sums()
        super().__init__(_Share.apply(self.sums, *levels))  # type: ignore[arg-type]


def has_backward(kernel: str, dtype: torch.dtype) -> bool:
    """Whether there is a backward kernel for the levels' dtype beside a kernel of this name (see `KernelChoice`)."""
    return (kernel, dtype) in _BACKWARD


def lookup_with_gradient(
    forward: Forward, kernel: str, levels: list[Tensor], coords: Tensor, radius: int, out_dtype: torch.dtype
) -> Tensor:
    """As `raftline.kernels.lookup.lookup`, arguments already checked, differentiable once, in the levels only."""
    backward = _BACKWARD[kernel, levels[0].dtype]
    sums = levels.sums if isinstance(levels, SharedLevels) else None
    return _Lookup.apply(forward, backward, sums, coords, radius, out_dtype, *levels)  # type: ignore[return-value]


class _Lookup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, forward: Forward, backward: Any, sums: _Sums | None, coords: Tensor, radius: int,
                out_dtype: torch.dtype, *levels: Tensor) -> Tensor:  # fmt: skip
        ctx.save_for_backward(coords)
        ctx.sums, ctx.backward_kernel, ctx.radius = sums, backward, radius
        ctx.like = [(level.shape, level.dtype) for level in levels]
        return forward(list(levels), coords, radius, out_dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        (coords,) = ctx.saved_tensors
        gradients = ctx.sums.gradients if ctx.sums is not None else None
        if gradients is None:
            gradients = [torch.zeros(shape, dtype=dtype, device=coords.device) for shape, dtype in ctx.like]
        ctx.backward_kernel(gradient, coords, ctx.radius, gradients)
        if ctx.sums is None:
            return (*[None] * 6, *gradients)
        ctx.sums.gradients = gradients
        return (None,) * (6 + len(gradients))


class _Share(torch.autograd.Function):
    """Passes levels on; its backward pass runs after those of all their lookups, and returns what these summed up."""

    @staticmethod
    def forward(ctx: Any, sums: _Sums, *levels: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.sums = sums
        return tuple(level.view_as(level) for level in levels)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *others: Tensor | None) -> tuple[Any, ...]:
        gradients = ctx.sums.take()
        if gradients is None:
            return (None, *others)
        for total, other in zip(gradients, others, strict=True):
            if other is not None:  # a use of the level other than by a kernel
                total += other
        return (None, *gradients)
