"""The lookup's gradient: the kernels' against autograd through the plain twin, alone and shared by several lookups."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from raftline.kernels.cuda_kernel import NUMBER, source
from raftline.kernels.lookup import gradient as lookup_gradient
from raftline.kernels.lookup import lookup, reference
from raftline.kernels.lookup.backward_cpu import lookup_backward_cpu
from raftline.kernels.lookup.backward_cuda import KERNEL, lookup_backward_cuda
from raftline.kernels.lookup.gradient import SharedLevels
from tests.raftline.kernels.kernel_on_cpu import KernelFailed, KernelOnCpu, stand_in
from tests.raftline.kernels.pyramids import coordinates, pyramid

# Sums of four products of numbers up to 2 and fractions, in float32, against float64; half and bfloat16 round the
# sum, up to 8: 2^-11 and 2^-8 of it.
TOLERANCE = {torch.float32: 4e-6, torch.float16: 8 * 2.0**-11, torch.bfloat16: 8 * 2.0**-8}
SHAPES = [(1, 16, 16), (2, 9, 13), (1, 1, 1), (1, 17, 8)]
VARIANTS = [(torch.float32, 3), (torch.float32, 4), (torch.float16, 4), (torch.bfloat16, 3)]

Backward = Callable[[Tensor, Tensor, int, list[Tensor]], None]


def brought_back(levels: list[Tensor], coords: Tensor, radius: int, gradient: Tensor) -> list[Tensor]:
    """What autograd through the plain twin gives, in float64."""
    exact = [level.detach().double().requires_grad_() for level in levels]
    reference.lookup(exact, coords, radius).backward(gradient.double())
    return [level.grad for level in exact if level.grad is not None]


def windows_gradient(coords: Tensor, count: int, radius: int) -> Tensor:
    batch, _, height, width = coords.shape
    generator = torch.Generator().manual_seed(3)
    return torch.rand(batch, count * (2 * radius + 1) ** 2, height, width, generator=generator) * 4 - 2


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[torch.dtype, int], KernelOnCpu]:
    return {
        (dtype, radius): KernelOnCpu(KERNEL, tmp_path_factory.mktemp("backward"), ELEMENT=NUMBER[dtype], RADIUS=radius)
        for dtype, radius in VARIANTS
    }


def check(backward: Backward, shape: tuple[int, int, int], dtype: torch.dtype, radius: int) -> None:
    levels, coords = pyramid(*shape), coordinates(*shape)
    coords.view(-1)[::7] = torch.nan
    gradient = windows_gradient(coords, 4, radius)
    before = [torch.ones_like(level, dtype=dtype) for level in levels]
    backward(gradient, coords, radius, before)
    for found, expected in zip(before, brought_back(levels, coords, radius, gradient), strict=True):
        torch.testing.assert_close(found.double(), 1 + expected, atol=TOLERANCE[dtype], rtol=0)


@pytest.mark.parametrize("radius", [1, 3, 4])
@pytest.mark.parametrize("shape", [*SHAPES, (1, 40, 33)], ids=str)
def test_the_cpu_kernel_adds_what_autograd_brings_back(shape: tuple[int, int, int], radius: int) -> None:
    pytest.importorskip("numba")
    check(lookup_backward_cpu, shape, torch.float32, radius)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_the_cuda_kernel_adds_what_autograd_brings_back(
    variant: tuple[torch.dtype, int],
    shape: tuple[int, int, int],
    compiled: dict[tuple[torch.dtype, int], KernelOnCpu],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stand_in(monkeypatch, compiled[variant])
    check(lookup_backward_cuda, shape, *variant)


@pytest.mark.parametrize("dtype", list(NUMBER), ids=str)
def test_the_cuda_kernel_reads_gradients_of_any_type(
    dtype: torch.dtype, compiled: dict[tuple[torch.dtype, int], KernelOnCpu], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, compiled[torch.float32, 3])
    levels, coords = pyramid(1, 5, 7)[:2], coordinates(1, 5, 7).contiguous(memory_format=torch.channels_last)
    gradient = windows_gradient(coords, 2, 3).to(dtype)
    found = [torch.zeros_like(level) for level in levels]
    lookup_backward_cuda(gradient, coords, 3, found)
    for one, expected in zip(found, brought_back(levels, coords, 3, gradient), strict=True):
        torch.testing.assert_close(one.double(), expected, atol=TOLERANCE[torch.float32], rtol=0)


@pytest.mark.parametrize(
    ("reaper", "broken"),
    [("at.top + j < height", "true"), ("pixels * levels - first", "pixels * levels + 5 - first")],
)
def test_a_kernel_that_writes_too_far_is_caught(reaper: str, broken: str, tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    text = source(KERNEL.file)
    assert text.count(reaper) == 1
    stand_in(monkeypatch, KernelOnCpu(KERNEL, tmp_path, text.replace(reaper, broken), ELEMENT=32, RADIUS=3))
    coords = torch.full((1, 2, 1, 1), 1.0)
    with pytest.raises(KernelFailed, match="AddressSanitizer"):
        lookup_backward_cuda(windows_gradient(coords, 1, 3), coords, 3, [torch.zeros(1, 1, 1, 4, 4)])


def test_the_twins_gradient_is_its_finite_difference() -> None:
    levels = [level.double().requires_grad_() for level in pyramid(1, 3, 4)]
    assert torch.autograd.gradcheck(lambda *args: reference.lookup(list(args), coordinates(1, 3, 4), 1), levels)


@pytest.mark.parametrize("share", [list, SharedLevels])
def test_several_lookups_of_the_same_levels_bring_back_their_sum(share: Callable[[list[Tensor]], list[Tensor]]) -> None:
    leaves = [level.requires_grad_() for level in pyramid(2, 9, 13)]
    levels = share([leaf * 2 for leaf in leaves])
    everywhere = [coordinates(2, 9, 13, seed) for seed in range(3)]
    gradient = windows_gradient(everywhere[0], 4, 3)
    torch.autograd.backward([lookup(levels, coords, 3) for coords in everywhere], [gradient] * 3)
    parts = [brought_back(leaves, coords, 3, gradient) for coords in everywhere]
    for leaf, *expected in zip(leaves, *parts, strict=True):
        assert leaf.grad is not None
        torch.testing.assert_close(leaf.grad.double(), 2 * sum(expected), atol=6 * TOLERANCE[torch.float32], rtol=0)


def test_shared_levels_serve_other_uses_and_a_second_backward_pass() -> None:
    leaf = pyramid(1, 8, 8)[0].requires_grad_()
    levels, coords = SharedLevels([leaf]), coordinates(1, 8, 8)
    loss = lookup(levels, coords, 3).sum() + (3 * levels[0]).sum()
    (once,) = torch.autograd.grad(loss, leaf, retain_graph=True)
    (again,) = torch.autograd.grad(loss, leaf)
    (expected,) = brought_back([leaf], coords, 3, torch.ones(1, 49, 8, 8))
    torch.testing.assert_close(once.double(), 3 + expected, atol=TOLERANCE[torch.float32], rtol=0)
    assert torch.equal(again, once)


def test_shared_levels_that_nothing_looks_up_have_no_gradient() -> None:
    leaf = pyramid(1, 8, 8)[0].requires_grad_()
    levels = SharedLevels([leaf])
    (levels[0].sum() * 2).backward()
    assert leaf.grad is not None and (leaf.grad == 2).all()


def test_levels_are_freed_with_their_last_use() -> None:
    leaf = pyramid(1, 8, 8)[0].requires_grad_()
    levels = SharedLevels([leaf * 2])
    windows = lookup(levels, coordinates(1, 8, 8), 3)
    freed = weakref.ref(levels)
    gc.disable()  # what only the collector of cycles frees, and it knows nothing of the graph, is never freed
    try:
        windows.sum().backward()
        del windows, levels
        assert freed() is None
    finally:
        gc.enable()


def test_gradients_come_from_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    used = []
    kernel = lookup_gradient._BACKWARD["numba", torch.float32]
    spy = {("numba", torch.float32): lambda *given: (used.append(given), kernel(*given))[1]}
    monkeypatch.setattr(lookup_gradient, "_BACKWARD", spy)
    lookup([pyramid(1, 4, 4)[0].requires_grad_()], coordinates(1, 4, 4), 3).sum().backward()
    assert len(used) == 1


def test_the_gradient_of_the_coordinates_is_the_twins() -> None:
    levels, coords = pyramid(1, 4, 5), coordinates(1, 4, 5).requires_grad_()
    (found,) = torch.autograd.grad(lookup(levels, coords, 3).square().sum(), coords)
    (expected,) = torch.autograd.grad(reference.lookup(levels, coords, 3).square().sum(), coords)
    assert torch.equal(found, expected) and found.abs().sum() > 0


def test_a_second_derivative_is_refused() -> None:
    pytest.importorskip("numba")
    level = pyramid(1, 4, 4)[0].requires_grad_()
    (first,) = torch.autograd.grad(lookup([level], coordinates(1, 4, 4), 3).square().sum(), level, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()
