"""The lookup without a volume: its plain twin, its meaning, and the checks at its door."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from raftline.kernels.lookup_on_demand import lookup_on_demand, reference, room_for_windows
from raftline.kernels.lookup_on_demand.cpu import KeptWindows
from raftline.kernels.lookup_on_demand.cuda import KeptOnCuda
from tests.raftline.kernels.pyramids import coordinates, features

pytest.importorskip("numba")

# Sums of up to 256 products of standard normal numbers over sqrt(C), in float32, in another order.
FLOAT32_TOLERANCE = 1e-5


@pytest.mark.parametrize("radius", [1, 3, 4])
@pytest.mark.parametrize("shape", [(1, 128, 16, 16), (2, 128, 9, 13), (1, 5, 1, 1), (1, 256, 24, 33), (3, 1, 8, 23)])
def test_the_cpu_kernel_is_its_plain_twin(shape: tuple[int, int, int, int], radius: int) -> None:
    one, levels = features(*shape)
    coords = coordinates(shape[0], *shape[2:])
    found = lookup_on_demand(one, levels, coords, radius)
    expected = reference.lookup_on_demand(one, levels, coords, radius)
    torch.testing.assert_close(found, expected, atol=FLOAT32_TOLERANCE, rtol=0)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_layout_in_memory_does_not_matter(layout: torch.memory_format) -> None:
    one, levels = features(2, 16, 9, 13)
    coords = coordinates(2, 9, 13)
    changed = [x.contiguous(memory_format=layout) for x in (one, coords, *levels)]
    found = lookup_on_demand(changed[0], changed[2:], changed[1], 3)
    assert torch.equal(found, lookup_on_demand(one, levels, coords, 3))


@pytest.mark.parametrize("undefined", [float("nan"), float("inf"), -float("inf"), 3e38])
def test_a_window_at_an_undefined_coordinate_is_zero(undefined: float) -> None:
    one, levels = features(1, 8, 8, 8)
    coords = coordinates(1, 8, 8)
    coords[0, 0, 2, 3] = undefined
    found = lookup_on_demand(one, levels, coords, 3)
    assert (found[0, :, 2, 3] == 0).all()
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("out_dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_windows_come_in_the_type_that_was_asked_for(out_dtype: torch.dtype) -> None:
    one, levels = features(1, 8, 8, 8)
    coords = coordinates(1, 8, 8)
    found = lookup_on_demand(one, levels, coords, 3, out_dtype)
    assert torch.equal(found, lookup_on_demand(one, levels, coords, 3).to(out_dtype))


def test_undefined_features_are_not_hidden() -> None:
    one, levels = features(1, 8, 8, 8)
    one[0, 3, 4, 4] = float("nan")
    coords = torch.full((1, 2, 8, 8), 4.0)
    found = lookup_on_demand(one, levels, coords, 1)
    assert torch.isnan(found[0, :9, 4, 4]).all()
    assert torch.isfinite(found[0, :, 0, 0]).all()


def test_windows_that_are_kept_change_nothing() -> None:
    one, levels = features(2, 32, 12, 17)
    kept = room_for_windows(one, len(levels), 3)
    coords = coordinates(2, 12, 17)
    moves = (0.0, 0.3, 0.3, -1.7, 40.0, float("nan"), 0.0)
    for move in moves:
        found = lookup_on_demand(one, levels, coords + move, 3, kept=kept)
        assert torch.equal(found, lookup_on_demand(one, levels, coords + move, 3))


def test_a_window_that_stays_is_not_computed_again() -> None:
    one, levels = features(1, 32, 12, 17)
    kept = room_for_windows(one, len(levels), 3)
    assert isinstance(kept, KeptWindows)
    coords = torch.full((1, 2, 12, 17), 5.25)
    lookup_on_demand(one, levels, coords, 3, kept=kept)
    for windows in kept.windows:
        windows[:] = 7.0
    assert (lookup_on_demand(one, levels, coords + 0.5, 3, kept=kept) == 7.0).all()
    assert not (lookup_on_demand(one, levels, coords + 1.0, 3, kept=kept)[:, :49] == 7.0).any()


def test_the_kernel_serves_several_threads_at_once() -> None:
    one, levels = features(1, 32, 40, 33)
    coords = coordinates(1, 40, 33)
    expected = lookup_on_demand(one, levels, coords, 3)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: lookup_on_demand(one, levels, coords, 3), range(16)))
    assert all(torch.equal(each, expected) for each in found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f, v, c: (f, [], c, 3), "levels2: expected 1 to 4 tensors, found 0"),
        (lambda f, v, c: (f, v, c, 0), "radius: expected 1 to 4, found 0"),
        (lambda f, v, c: (f[:0], v, c, 3), r"features1: .*none of them 0; found \(0, 6, 8, 8\)"),
        (lambda f, v, c: (f, v, c[..., :7], 3), r"coords: expected shape \(1, 2, 8, 8\), found \(1, 2, 8, 7\)"),
        (
            lambda f, v, c: (f, [v[0][:, :5]], c, 3),
            r"levels2\[0\]: expected shape \(1, 6, h, w\).*found \(1, 5, 8, 8\)",
        ),
        (lambda f, v, c: (f, v, c.double(), 3), "coords: expected float32, found torch.float64"),
        (lambda f, v, c: (f.half(), v, c, 3), "features1: expected float32, .* found torch.float16"),
        (
            lambda f, v, c: (f, [v[0], v[1].double()], c, 3),
            r"levels2\[1\]: expected float32, .* found torch.float64, features1 is torch.float32",
        ),
        (lambda f, v, c: (f.to("meta"), v, c, 3), "features1: on meta, but coords are on cpu; move one"),
        (
            lambda f, v, c: (f.to("meta"), v, c.to("meta"), 3),
            "features1: expected a tensor on CUDA with CuPy, or on a CPU with numba; found one on meta",
        ),
        (lambda f, v, c: (f.requires_grad_(), v, c, 3), "features1: requires a gradient.* Use lookup in a volume"),
        (
            lambda f, v, c: (f, v, c, 3, None, KeptOnCuda.none_yet(f.device, 64, 4, 3)),
            "kept: expected what room_for_windows makes for cpu, found KeptOnCuda",
        ),
        (lambda f, v, c: (f, v, c, 3, torch.int8), "out_dtype: expected one of float32, .* found torch.int8"),
    ],
)
def test_a_wrong_argument_is_refused_with_what_was_found(change, message: str) -> None:  # type: ignore[no-untyped-def]
    one, levels = features(1, 6, 8, 8)
    arguments = change(one, levels, coordinates(1, 8, 8))
    with pytest.raises(ValueError, match=message):
        lookup_on_demand(*arguments)
