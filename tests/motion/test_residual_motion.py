from __future__ import annotations

import numpy as np
import pytest

from stages.motion.picture_change import snapped, supported
from stages.motion.residual_motion import (
    SampledFlow,
    Thresholds,
    carried_forward,
    full_size,
    large_enough,
    moving_regions,
    raised_for_noise,
    residual_flow,
    sampled,
)
from stages.motion.transforms import transform_points
from stages.motion.warp import warp_image
from tests.motion.synthetic import HEIGHT, WIDTH, grid_flow, similarity, textured

CAMERA = similarity(3.0, -2.0, degrees=0.5, scale=1.004)


def full_flow(matrix: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    points = np.stack([x, y], axis=-1)
    return (transform_points(matrix, points.reshape(-1, 2)).reshape(points.shape) - points).astype(np.float32)


def box(top: int, left: int, high: int, wide: int, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[top : top + high, left : left + wide] = True
    return mask


def test_nothing_is_left_of_the_cameras_own_motion() -> None:
    for flow_px in (full_flow(CAMERA), grid_flow(CAMERA)):
        left = residual_flow(sampled(flow_px, WIDTH, HEIGHT), CAMERA)
        # the grid covers the frame's rim by repeating its outermost cells
        inner = left[4:-4, 4:-4]
        assert np.abs(inner).max() < 0.01


@pytest.mark.parametrize("size", [(1920, 1080), (1281, 721), (640, 360), (33, 17), (1, 1)])
def test_samples_lie_where_they_say_at_every_size(size: tuple[int, int]) -> None:
    width, height = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    flow = sampled(np.stack([x, y], axis=-1), width, height)
    np.testing.assert_array_equal(flow.flow_px[0, :, 0], flow.x)
    np.testing.assert_array_equal(flow.flow_px[:, 0, 1], flow.y)
    assert max(flow.flow_px.shape) <= 961
    grid = np.zeros((-(-height // 8), -(-width // 8), 2), np.float32)
    assert sampled(grid, width, height).flow_px.shape == flow.flow_px.shape


def test_the_mask_belongs_to_the_later_frame() -> None:
    moving = box(60, 40, 30, 50)
    flow_px = np.where(moving[..., None], np.array([12, -6], np.float32), np.float32(0))
    flow = sampled(flow_px, WIDTH, HEIGHT)
    mask, residual = carried_forward(flow, flow.flow_px, moving)
    np.testing.assert_array_equal(mask, box(54, 52, 30, 50))
    np.testing.assert_allclose(residual[mask], np.broadcast_to([12, -6], (1500, 2)))
    assert not residual[~mask].any()


def test_holes_of_an_expanding_object_are_filled() -> None:
    moving = box(60, 100, 40, 40)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    flow_px = 0.3 * np.stack([x - 120, y - 80], axis=-1).astype(np.float32) * moving[..., None]
    mask, residual = carried_forward(SampledFlow(flow_px, 1, 0), flow_px, moving)
    inner = (slice(57, 103), slice(97, 143))
    assert mask[inner].all()
    assert np.abs(residual[70, 130] - 0.3 / 1.3 * np.array([10, -10])).max() < 1.0


def test_what_leaves_the_frame_is_gone() -> None:
    moving = box(0, 300, 20, 20)
    flow_px = np.where(moving[..., None], np.array([30, 0], np.float32), np.float32(0))
    mask, _ = carried_forward(SampledFlow(flow_px, 1, 0), flow_px, moving)
    assert not mask.any()


def test_hysteresis_keeps_the_slow_part_of_what_is_fast_somewhere() -> None:
    speed = np.zeros((90, 160), np.float32)
    speed[10:20, 10:40] = 30
    speed[12:14, 12:14] = 60
    speed[50:60, 10:40] = 30
    thresholds = Thresholds(50, 20, 0.001)
    np.testing.assert_array_equal(moving_regions(speed, thresholds), box(10, 10, 10, 30, (90, 160)))
    both = moving_regions(speed, thresholds, moved_before=box(55, 20, 2, 2, (90, 160)))
    np.testing.assert_array_equal(both, box(10, 10, 10, 30, (90, 160)) | box(50, 10, 10, 30, (90, 160)))


def test_small_regions_and_forbidden_ones_do_not_count() -> None:
    speed = np.zeros((90, 160), np.float32)
    speed[10:20, 10:40] = speed[50:53, 50:53] = 100
    allowed = np.ones((90, 160), bool)
    assert moving_regions(speed, Thresholds(50, 20, 0.001), allowed).sum() == 300
    allowed[:30] = False
    assert not moving_regions(speed, Thresholds(50, 20, 0.001), allowed).any()
    assert large_enough(speed > 0, 0.001).sum() == 300


def test_noise_raises_the_thresholds_in_px_a_second() -> None:
    raised = raised_for_noise(Thresholds(20, 10, 0.001), noise_px=0.5, step_seconds=1 / 30)
    assert raised.low_px_s == pytest.approx(60) and raised.high_px_s == pytest.approx(90)
    assert raised_for_noise(Thresholds(20, 10, 0.001), 0.01, 1 / 30) == Thresholds(20, 10, 0.001)


def test_flow_that_spreads_over_a_plain_surface_is_cut_back_to_what_moved() -> None:
    earlier = np.full((HEIGHT, WIDTH), 90, np.uint8)
    earlier[60:100, 100:160] = textured(60, 40)
    later = np.full((HEIGHT, WIDTH), 90, np.uint8)
    later[62:102, 106:166] = textured(60, 40)
    spread = box(30, 60, 100, 150)
    flow = SampledFlow(np.where(spread[..., None], np.array([6, 2], np.float32), np.float32(0)), 1, 0)
    found = snapped(spread, supported(flow, np.eye(3), earlier, later), 8)
    truth = box(60, 100, 40, 60)
    # the changed edge is blurred by a pixel or two, of a perimeter of 200 px
    assert (found & truth).sum() / (found | truth).sum() > 0.82


def test_a_change_of_light_supports_nothing() -> None:
    earlier = textured(WIDTH, HEIGHT)
    later = np.clip(earlier.astype(int) + 15, 0, 255).astype(np.uint8)
    flow = SampledFlow(np.full((HEIGHT, WIDTH, 2), 3, np.float32), 1, 0)
    assert supported(flow, np.eye(3), earlier, later).mean() < 0.01


def test_a_moving_camera_supports_nothing_by_itself() -> None:
    earlier = textured(WIDTH, HEIGHT)
    later = warp_image(earlier, CAMERA)
    flow = SampledFlow(np.full((HEIGHT, WIDTH, 2), 8, np.float32), 1, 0)
    assert supported(flow, CAMERA, earlier, later)[8:-8, 8:-8].mean() < 0.01


@pytest.mark.parametrize("size", [(1280, 720), (1281, 721), (64, 48)])
def test_a_mask_grows_to_the_size_of_its_frame(size: tuple[int, int]) -> None:
    flow = sampled(np.zeros((size[1], size[0], 2), np.float32), *size)
    small = (flow.x[None, :] >= size[0] / 2) & (flow.y[:, None] >= 0)
    large = full_size(small, flow, *size)
    assert large.shape == (size[1], size[0]) and set(np.unique(large)) == {0, 255}
    assert abs((large > 0).mean() - 0.5) < 0.01
