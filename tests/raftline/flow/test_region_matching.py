"""Regions that their flow lost are found; what is right, too small, or like everything else stays where it is."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from raftline.evaluation.evaluation import evaluate
from raftline.evaluation.protocol import PROTOCOL
from raftline.flow.region_matching import match_regions
from tests.data import data_path

AUTHORS_KITTI_PX = 1.840
"""End-point error of the authors' raft-small on KITTI's pair, all pixels, 24 iterations."""


def scene(height: int, width: int, seed: int = 0) -> Tensor:
    """(1, 64, H, W): every cell like no other."""
    return torch.randn(1, 64, height, width, generator=torch.Generator().manual_seed(seed))


def with_moved(background: Tensor, thing: Tensor, top: int, left: int, right: int, down: int) -> tuple[Tensor, Tensor]:
    """Two frames: a thing before a background that stands."""
    earlier, later = background.clone(), background.clone()
    height, width = thing.shape[2:]
    earlier[:, :, top : top + height, left : left + width] = thing
    later[:, :, top + down : top + down + height, left + right : left + right + width] = thing
    return earlier, later


def test_a_thing_that_moves_far_before_a_scene_that_stands_is_found() -> None:
    earlier, later = with_moved(scene(32, 48), scene(9, 12, seed=1), top=10, left=8, right=7, down=-5)
    flow, found = match_regions(earlier, later, torch.zeros(1, 2, 32, 48))
    thing = torch.zeros(32, 48, dtype=torch.bool)
    thing[10:19, 8:20] = True
    assert found[0][thing].float().mean() > 0.95  # its corners have more of the scene beside them than of itself
    assert (flow[0][:, found[0] & thing] == torch.tensor([[7.0], [-5.0]])).all()
    still_seen = ~thing
    still_seen[5:14, 15:27] = False
    assert not flow[0][:, still_seen].any()


def test_nothing_is_moved_where_the_flow_explains_what_is_seen() -> None:
    earlier = scene(24, 32)
    flow = torch.full((1, 2, 24, 32), 3.0)
    later = torch.roll(earlier, (3, 3), (2, 3))
    matches = match_regions(earlier, later, flow)
    assert torch.equal(matches.flow[..., :-3, :-3], flow[..., :-3, :-3]) and not matches.found[..., :-3, :-3].any()


def test_a_few_cells_are_no_region() -> None:
    earlier, later = with_moved(scene(24, 32), scene(2, 3, seed=1), top=10, left=8, right=7, down=0)
    assert not match_regions(earlier, later, torch.zeros(1, 2, 24, 32)).found.any()


def test_what_looks_alike_at_several_places_is_not_moved() -> None:
    earlier, later = with_moved(scene(32, 48), scene(9, 3, seed=1).repeat(1, 1, 1, 4), top=10, left=8, right=7, down=0)
    later[:, :, 10:19, 12:30] = scene(9, 3, seed=1).repeat(1, 1, 1, 6)
    assert not match_regions(earlier, later, torch.zeros(1, 2, 32, 48)).found.any()


def test_unlike_frames_move_nothing() -> None:
    matches = match_regions(scene(24, 32), scene(24, 32, seed=5), torch.zeros(1, 2, 24, 32))
    assert not matches.found.any() and not matches.flow.any()


@pytest.mark.parametrize("size", [(1, 1), (1, 37), (50, 2)])
def test_any_size_is_taken(size: tuple[int, int]) -> None:
    matches = match_regions(scene(*size), scene(*size, seed=1), torch.zeros(1, 2, *size))
    assert matches.flow.shape == (1, 2, *size) and matches.found.shape == (1, *size)
    assert torch.isfinite(matches.flow).all()


def test_features_of_16_bits_are_taken() -> None:
    earlier, later = with_moved(scene(32, 48), scene(9, 12, seed=1), top=10, left=8, right=7, down=-5)
    matches = match_regions(F.normalize(earlier, dim=1).half(), later.half(), torch.zeros(1, 2, 32, 48))
    assert matches.flow.dtype is torch.float32 and matches.found[0, 14, 14]


def test_the_car_that_the_iterations_lose_is_found() -> None:
    folder = f"kitti:{data_path('flow', 'kitti')}"
    alone, with_regions = (
        next(row for row in evaluate("default", [folder], options).results if row.scene == "occ")
        for options in (PROTOCOL, replace(PROTOCOL, region_matching=True))
    )
    assert with_regions.epe_px < AUTHORS_KITTI_PX < alone.epe_px
