"""Padding to what the network takes."""

from __future__ import annotations

import pytest
import torch

from raftline.raft.padding import Padding


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 500), (128, 128), (129, 135), (436, 1024), (375, 1242)])
@pytest.mark.parametrize("mode", ["centred", "kitti"])
def test_padded_sizes_are_multiples_of_8_from_128_and_come_back_as_they_were(height: int, width: int, mode) -> None:  # type: ignore[no-untyped-def]
    image = torch.rand(1, 3, height, width)
    padding = Padding.for_size(height, width, mode)
    padded = padding.pad(image)
    assert all(size % 8 == 0 and size >= 128 for size in padded.shape[2:])
    assert torch.equal(padding.unpad(padded), image)


def test_a_size_that_fits_is_left_alone() -> None:
    assert Padding.for_size(480, 640) == Padding(0, 0, 0, 0)


def test_the_border_is_repeated() -> None:
    padded = Padding.for_size(1, 1).pad(torch.full((1, 3, 1, 1), 0.25))
    assert torch.equal(padded, torch.full((1, 3, 128, 128), 0.25))


def test_centred_padding_puts_the_odd_pixel_right_and_below() -> None:
    assert Padding.for_size(133, 131) == Padding(left=2, right=3, top=1, bottom=2)


def test_kitti_padding_leaves_the_top_as_it_is() -> None:
    assert Padding.for_size(375, 1242, "kitti") == Padding(left=3, right=3, top=0, bottom=1)


def test_an_empty_image_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one pixel; found 5x0"):
        Padding.for_size(0, 5)
