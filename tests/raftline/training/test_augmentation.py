"""What changes the images changes the flow with them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from raftline.training.augmentation import (
    Pair,
    augment,
    flip_horizontally,
    flip_vertically,
    rescale_dense,
    rescale_sparse,
)
from raftline.training.options import AugmentationOptions
from tests.raftline.raft.recipes import texture

PLAIN = AugmentationOptions(scale=(0.0, 0.0), stretch=0.0, flips=False, color=False, eraser=0.0)


def pair(u: int = 6, v: int = -3, height: int = 160, width: int = 200) -> Pair:
    """An image that moves by whole pixels, and its flow."""
    large = cv2.GaussianBlur(texture(height + 40, width + 40), (0, 0), 2.0).astype(np.uint8)
    image1 = large[20 : 20 + height, 20 : 20 + width]
    image2 = large[20 - v : 20 - v + height, 20 - u : 20 - u + width]
    flow_px = np.zeros((height, width, 2), np.float32) + np.array([u, v], np.float32)
    return Pair(image1, image2, flow_px, np.ones((height, width), np.bool_))


def warp_error(changed: Pair) -> float:
    """Mean difference between the first image and the second fetched along the flow, away from the border."""
    height, width = changed.valid.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    fetched = cv2.remap(changed.image2, x + changed.flow_px[..., 0], y + changed.flow_px[..., 1], cv2.INTER_LINEAR)
    inner = (slice(24, -24), slice(24, -24))
    return float(np.abs(fetched[inner].astype(int) - changed.image1[inner].astype(int)).mean())


def test_a_flip_flips_the_flow() -> None:
    original = pair()
    assert warp_error(original) == 0
    across, down = flip_horizontally(original), flip_vertically(original)
    assert across.flow_px[0, 0].tolist() == [-6, -3]
    assert down.flow_px[0, 0].tolist() == [6, 3]
    for flipped in (across, down):
        assert warp_error(Pair(*(np.ascontiguousarray(part) for part in flipped))) == 0  # type: ignore[arg-type]
        assert flipped.flow_px.dtype == np.float32


def test_a_stretch_scales_each_component_by_its_own_side() -> None:
    stretched = rescale_dense(pair(), 1.5, 2.0)
    assert stretched.valid.shape == (320, 300)
    np.testing.assert_allclose(stretched.flow_px[100, 100], [9, -6], rtol=1e-5)
    assert stretched.valid.all()
    assert warp_error(stretched) < 1.0  # interpolated twice, of 255 levels
    unscaled = stretched._replace(flow_px=pair().flow_px[:1, :1] + 0 * stretched.flow_px)
    assert warp_error(unscaled) > 5.0


def test_sparse_truth_moves_with_its_pixels_and_nothing_is_made_up() -> None:
    original = pair()
    valid = np.zeros_like(original.valid)
    valid[40, 50] = valid[80, 120] = True
    flow_px = np.where(valid[..., None], original.flow_px, np.nan).astype(np.float32)
    flow_px[80, 120] = (2, 4)
    scaled = rescale_sparse(Pair(original.image1, original.image2, flow_px, valid), 2.0, 2.0)
    assert int(scaled.valid.sum()) == 2
    rows, columns = np.nonzero(scaled.valid)
    np.testing.assert_allclose(rows, [81, 161], atol=1)
    np.testing.assert_allclose(columns, [101, 241], atol=1)
    assert scaled.flow_px[rows, columns].tolist() == [[12, -6], [4, 8]]
    assert np.isfinite(scaled.flow_px).all()


def test_dense_rescaling_does_not_spread_what_is_not_known() -> None:
    original = pair()
    original.valid[:, 100:] = False
    original.flow_px[:, 100:] = np.nan
    scaled = rescale_dense(original, 2.0, 2.0)
    assert np.isfinite(scaled.flow_px).all()
    np.testing.assert_allclose(scaled.flow_px[scaled.valid], np.broadcast_to([12, -6], (scaled.valid.sum(), 2)))
    assert 0.48 < scaled.valid.mean() < 0.5


@pytest.mark.parametrize("sparse", [False, True])
def test_a_crop_is_of_the_size_asked_for_and_still_true(sparse: bool) -> None:
    options = AugmentationOptions(scale=(-0.2, 0.6), color=False, eraser=0.0)
    for seed in range(6):
        changed = augment(pair(), (128, 136), options, np.random.default_rng(seed), sparse)
        assert changed.valid.shape == (128, 136)
        assert changed.image1.shape == changed.image2.shape == (128, 136, 3)
        if not sparse:  # between known pixels a sparse flow is zero
            assert warp_error(changed) < 1.5


def test_a_image_smaller_than_the_crop_is_enlarged() -> None:
    changed = augment(pair(2, 0, 64, 80), (128, 160), PLAIN, np.random.default_rng(0), sparse=False)
    assert changed.valid.shape == (128, 160)
    assert changed.flow_px[64, 80, 0] > 4


def test_colors_change_and_the_flow_does_not() -> None:
    options = AugmentationOptions(scale=(0, 0), stretch=0, flips=False, color=True, eraser=0.0)
    changed = augment(pair(), (152, 192), options, np.random.default_rng(1), sparse=False)
    plain = augment(pair(), (152, 192), PLAIN, np.random.default_rng(1), sparse=False)
    assert (changed.flow_px == changed.flow_px[0, 0]).all()
    assert abs(changed.image1.astype(int).mean() - plain.image1.astype(int).mean()) > 1


def test_only_the_second_image_is_erased_and_never_the_callers() -> None:
    original = pair()
    kept = original.image2.copy()
    options = AugmentationOptions(scale=(0, 0), stretch=0, flips=False, color=False, eraser=1.0)
    changed = augment(original, (152, 192), options, np.random.default_rng(0), sparse=False)
    assert warp_error(changed) > 1
    assert (original.image2 == kept).all()


def test_the_same_random_numbers_give_the_same_pair() -> None:
    options = AugmentationOptions()
    one, two, other = (augment(pair(), (128, 128), options, np.random.default_rng(s), False) for s in (3, 3, 4))
    assert all((a == b).all() for a, b in zip(one, two, strict=True))
    assert not (one.image1 == other.image1).all()
