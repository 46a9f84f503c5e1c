from __future__ import annotations

import numpy as np
import pytest

from raftline.camera.working_grid import WorkingGrid
from raftline.masks.photometric_support import snapped, supported
from raftline.masks.residual_motion import (
    Thresholds,
    carried_back,
    carried_forward,
    cell_residual,
    moving_cells,
    moving_regions,
    raised_for_noise,
    seen_moving,
)
from raftline.stabilize.warp.warp import warp_image
from tests.raftline.synthetic_motion import HEIGHT, WIDTH, grid_flow, similarity, textured

CAMERA = similarity(3.0, -2.0, degrees=0.5, scale=1.004)


def box(top: int, left: int, high: int, wide: int, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[top : top + high, left : left + wide] = True
    return mask


def test_nothing_is_left_of_the_cameras_own_motion() -> None:
    assert np.abs(cell_residual(grid_flow(CAMERA), CAMERA)).max() < 1e-4


@pytest.mark.parametrize(("width", "height"), [(320, 180), (1280, 720), (1921, 1083)])
def test_moving_cells_lie_where_they_went_in_the_later_frame(width: int, height: int) -> None:
    grid = WorkingGrid(width, height)
    flow = np.zeros((-(-height // 8), -(-width // 8), 2), np.float32)
    flow[4:8, 6:12] = (24, -8)
    cells = moving_cells(flow, flow, Thresholds(50, 20, 0.0), 0.04, None, grid)
    drawn = np.nonzero(grid.full_size(cells.drawn(grid)))
    # cells 6-11 and 4-7 are the px 48-95 and 32-63; a cell is drawn up to one more point wide
    for at, (low, high) in ((1, (48 + 24, 95 + 24)), (0, (32 - 8, 63 - 8))):
        assert abs(drawn[at].min() - low) <= 2 * grid.step_px and abs(drawn[at].max() - high) <= 2 * grid.step_px
    np.testing.assert_allclose(cells.velocity_px_s, np.broadcast_to([600, -200], (24, 2)), rtol=1e-5)


def test_holes_of_an_expanding_object_are_filled() -> None:
    moving = box(60, 100, 40, 40)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    flow = 0.3 * np.stack([x - 120, y - 80], axis=-1).astype(np.float32) * moving[..., None]
    assert carried_forward(moving, flow)[57:103, 97:143].all()


def test_each_point_carried_back_has_the_label_of_where_it_goes() -> None:
    labels = np.zeros((HEIGHT, WIDTH), np.int32)
    labels[60:100, 106:126], labels[60:100, 126:146] = 1, 2
    moving = box(58, 100, 40, 45)
    before = carried_back(moving, np.full((HEIGHT, WIDTH, 2), (6, 2), np.float32), labels)
    np.testing.assert_array_equal(before == 1, box(58, 100, 40, 20))
    np.testing.assert_array_equal(before == 2, box(58, 120, 40, 20))


def test_what_leaves_the_frame_is_gone() -> None:
    flow = np.zeros((23, 40, 2), np.float32)
    flow[0:3, 38:] = (60, 0)
    cells = moving_cells(flow, flow, Thresholds(50, 20, 0.0), 0.04, None, WorkingGrid(320, 180))
    assert cells.moving.sum() == 6 and not len(cells.row)


@pytest.mark.parametrize(("flow_px", "moves"), [(0.4, True), (0.2, False), (1.2, False)])
def test_flow_of_less_than_a_px_is_taken_for_longer_where_something_is_there_for_sure(
    flow_px: float, moves: bool
) -> None:
    grid = WorkingGrid(320, 180)
    flow = np.zeros((23, 40, 2), np.float32)
    flow[4:8, 6:12] = flow[4:8, 20:26] = (flow_px, 0)
    clear = box(28, 40, 40, 64, (180, 320))
    least_px_s = 0.7 / 0.04 if flow_px < 1 else 1.3 / 0.04
    cells = moving_cells(flow, flow, Thresholds(least_px_s, least_px_s, 0.0), 0.04, None, grid, clear)
    np.testing.assert_array_equal(cells.moving, box(4, 6, 4, 6 if moves else 0, (23, 40)))
    np.testing.assert_allclose(cells.velocity_px_s[:, 0], flow_px / 0.04, rtol=1e-5)  # it is not said to be faster


def test_hysteresis_keeps_the_slow_part_of_what_is_fast_somewhere() -> None:
    speed = np.zeros((90, 160), np.float32)
    speed[10:20, 10:40] = 30
    speed[12:14, 12:14] = 60
    speed[50:60, 10:40] = 30
    thresholds = Thresholds(50, 20, 0.001)
    np.testing.assert_array_equal(moving_regions(speed, thresholds), box(10, 10, 10, 30, (90, 160)))
    both = moving_regions(speed, thresholds, moved_before=box(55, 20, 2, 2, (90, 160)))
    np.testing.assert_array_equal(both, box(10, 10, 10, 30, (90, 160)) | box(50, 10, 10, 30, (90, 160)))


def test_small_regions_do_not_count() -> None:
    speed = np.zeros((90, 160), np.float32)
    speed[10:20, 10:40] = speed[50:53, 50:53] = 100
    np.testing.assert_array_equal(moving_regions(speed, Thresholds(50, 20, 0.001)), box(10, 10, 10, 30, (90, 160)))


def test_noise_raises_the_thresholds_in_px_a_second() -> None:
    raised = raised_for_noise(Thresholds(20, 10, 0.001), noise_px=0.5, step_seconds=1 / 30)
    assert raised.low_px_s == pytest.approx(60) and raised.high_px_s == pytest.approx(90)
    assert raised_for_noise(Thresholds(20, 10, 0.001), 0.01, 1 / 30) == Thresholds(20, 10, 0.001)


def plain_with_a_patch(top: int, left: int) -> np.ndarray:
    image = np.full((HEIGHT, WIDTH), 90, np.uint8)
    image[top : top + 40, left : left + 60] = textured(60, 40)
    return image


def test_flow_that_spreads_over_a_plain_surface_is_cut_back_to_what_moved() -> None:
    earlier, later = plain_with_a_patch(60, 100), plain_with_a_patch(62, 106)
    spread = box(30, 60, 100, 150)
    flow = np.where(spread[..., None], np.array([6, 2], np.float32), np.float32(0))
    found = snapped(spread, supported(flow, np.eye(3), earlier, later), 8)
    truth = box(60, 100, 40, 60)
    # the changed edge is blurred by a pixel or two, of a perimeter of 200 px
    assert (found & truth).sum() / (found | truth).sum() > 0.82


def test_so_is_flow_of_the_coarse_grid() -> None:
    grid = WorkingGrid(WIDTH, HEIGHT)
    flow = np.zeros((23, 40, 2), np.float32)
    flow[4:16, 8:26] = (6, 2)
    cells = moving_cells(flow, flow, Thresholds(50, 20, 0.0), 0.04, None, grid)
    lumas = (plain_with_a_patch(60, 100), plain_with_a_patch(62, 106))
    before, points_px = seen_moving(cells, flow, np.eye(3), lumas, grid)
    found, truth = carried_forward(before, points_px), box(62, 106, 40, 60)
    assert (found & truth).sum() / (found | truth).sum() > 0.82
    earlier = box(60, 100, 40, 60)
    assert (before & earlier).sum() / (before | earlier).sum() > 0.82


def test_a_change_of_illumination_supports_nothing() -> None:
    earlier = textured(WIDTH, HEIGHT)
    later = np.clip(earlier.astype(int) + 15, 0, 255).astype(np.uint8)
    assert supported(np.full((HEIGHT, WIDTH, 2), 3, np.float32), np.eye(3), earlier, later).mean() < 0.01


def test_a_moving_camera_supports_nothing_by_itself() -> None:
    earlier = textured(WIDTH, HEIGHT)
    found = supported(np.full((HEIGHT, WIDTH, 2), 8, np.float32), CAMERA, earlier, warp_image(earlier, CAMERA))
    assert found[8:-8, 8:-8].mean() < 0.01
