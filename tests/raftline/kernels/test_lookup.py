"""The lookup's meaning, its CPU kernel against its plain twin, and the checks at its door."""

from __future__ import annotations

import importlib.util
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from raftline.kernels import choice as choice_module
from raftline.kernels.choice import kernel_choice
from raftline.kernels.lookup import lookup, reference
from tests.raftline.kernels.pyramids import coordinates, pyramid

# Both compute in float32, in another order of operations, on values up to 2.
FLOAT32_TOLERANCE = 2e-6


def lookup_by_grid_sample(levels: list[Tensor], coords: Tensor, radius: int) -> Tensor:
    """The paper's definition as published implementations write it: grid_sample around every pixel."""
    batch, _, height, width = coords.shape
    offset = torch.linspace(-radius, radius, 2 * radius + 1)
    dx, dy = torch.meshgrid(offset, offset, indexing="ij")
    windows = []
    for number, level in enumerate(levels):
        h, w = level.shape[3:]
        centre = coords.permute(0, 2, 3, 1).reshape(-1, 1, 1, 2) / 2**number
        at = centre + torch.stack([dx, dy], dim=-1)
        normalised = 2 * at / torch.tensor([w - 1.0, h - 1.0]) - 1
        sampled = F.grid_sample(level.view(-1, 1, h, w), normalised, align_corners=True, padding_mode="zeros")
        windows.append(sampled.view(batch, height, width, -1))
    return torch.cat(windows, dim=-1).permute(0, 3, 1, 2)


@pytest.mark.parametrize("radius", [3, 4])
def test_the_reference_is_grid_sample_with_x_as_the_outer_index(radius: int) -> None:
    levels, coords = pyramid(2, 16, 21), coordinates(2, 16, 21).clamp(-30, 60)
    expected = lookup_by_grid_sample(levels, coords, radius)
    # grid_sample scales coordinates to [-1, 1] and back, which costs about 1e-6 of a cell times the slope.
    torch.testing.assert_close(reference.lookup(levels, coords, radius), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("radius", [1, 3, 4])
@pytest.mark.parametrize(("batch", "height", "width"), [(1, 16, 16), (2, 9, 13), (1, 1, 1), (1, 40, 33), (3, 8, 23)])
def test_the_cpu_kernel_is_its_plain_twin(batch: int, height: int, width: int, radius: int) -> None:
    levels, coords = pyramid(batch, height, width), coordinates(batch, height, width)
    found = lookup(levels, coords, radius)
    torch.testing.assert_close(found, reference.lookup(levels, coords, radius), atol=FLOAT32_TOLERANCE, rtol=0)


@pytest.mark.parametrize("undefined", [float("nan"), float("inf"), -float("inf"), 3e38])
def test_a_window_at_an_undefined_coordinate_is_zero(undefined: float) -> None:
    levels, coords = pyramid(1, 8, 8), coordinates(1, 8, 8)
    coords[0, 0, 2, 3] = undefined
    for implementation in (lookup, reference.lookup):
        found = implementation(levels, coords, 3)
        assert (found[0, :, 2, 3] == 0).all()
        assert torch.isfinite(found).all()


def test_a_whole_cell_shift_moves_the_window_by_that_cell() -> None:
    level = torch.arange(35.0).view(1, 1, 1, 5, 7)
    window = lookup([level], torch.tensor([3.0, 2.0]).view(1, 2, 1, 1), 1).view(3, 3)
    expected = torch.tensor([[9.0, 16.0, 23.0], [10.0, 17.0, 24.0], [11.0, 18.0, 25.0]])
    assert torch.equal(window, expected)


def test_the_cpu_kernel_serves_several_threads_at_once() -> None:
    levels, coords = pyramid(1, 40, 33), coordinates(1, 40, 33)
    expected = lookup(levels, coords, 3)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: lookup(levels, coords, 3), range(16)))
    assert all(torch.equal(one, expected) for one in found)


def test_half_precision_levels_give_half_precision_windows() -> None:
    levels, coords = [level.bfloat16() for level in pyramid(1, 8, 8)], coordinates(1, 8, 8)
    found = lookup(levels, coords, 3)
    assert found.dtype is torch.bfloat16
    exact = reference.lookup([level.float() for level in levels], coords, 3)
    # The weights are float32; two roundings to 8 bits of values up to 2.
    torch.testing.assert_close(found.float(), exact, atol=2 * 2 * 2.0**-8, rtol=0)


def _strided(level: Tensor) -> Tensor:
    return level.transpose(3, 4).contiguous().transpose(3, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v, c: ([], c, 3), "levels: expected 1 to 4 tensors, found 0"),
        (lambda v, c: (v, c, 5), "radius: expected 1 to 4, found 5"),
        (lambda v, c: (v, c[:, :1], 3), r"coords: expected shape \(B, 2, H, W\).*found \(1, 1, 8, 8\)"),
        (lambda v, c: (v, c[:0], 3), r"coords: .*none of them 0; found \(0, 2, 8, 8\)"),
        (lambda v, c: (v, c.double(), 3), "coords: expected float32, found torch.float64"),
        (
            lambda v, c: ([v[0][:, :7], *v[1:]], c, 3),
            r"levels\[0\]: expected shape \(1, 8, 8, h, w\).*\(1, 7, 8, 8, 8\)",
        ),
        (lambda v, c: ([v[0], v[1].half()], c, 3), r"levels\[1\]: .*found torch.float16, levels\[0\] is torch.float32"),
        (lambda v, c: ([v[0].to("meta")], c, 3), r"levels\[0\]: on meta, but coords are on cpu"),
        (lambda v, c: ([_strided(v[0])], c, 3), r"levels\[0\]: expected a contiguous tensor, found strides"),
        (lambda v, c: ([v[0].int()], c, 3), r"levels\[0\]: expected one of float32, .* found torch.int32"),
    ],
)
def test_a_wrong_argument_is_refused_with_what_was_found(change, message: str) -> None:  # type: ignore[no-untyped-def]
    levels, coords, radius = change(pyramid(1, 8, 8), coordinates(1, 8, 8))
    with pytest.raises(ValueError, match=message):
        lookup(levels, coords, radius)


def test_a_missing_kernel_package_is_said_aloud(monkeypatch: pytest.MonkeyPatch) -> None:
    levels, coords = pyramid(1, 8, 8), coordinates(1, 8, 8)
    with monkeypatch.context() as patched:
        patched.setattr(choice_module.importlib.util, "find_spec", lambda name: None)
        choice_module._choice.cache_clear()
        choice = kernel_choice("cuda")
        found = lookup(levels, coords, 3)
    choice_module._choice.cache_clear()
    assert choice.name == "reference"
    assert choice.fallback is not None and "cupy is not installed" in choice.fallback
    assert torch.equal(found, reference.lookup(levels, coords, 3))
    assert kernel_choice("cpu").fallback is None or importlib.util.find_spec("numba") is None
