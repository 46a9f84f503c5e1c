from __future__ import annotations

import numpy as np
import pytest

from raftline.camera.transforms import motion_matrices
from raftline.stabilize.warp.rolling_shutter import sweeps, warp_rows, without_shear
from raftline.stabilize.warp.warp import warp_yuv420
from tests.raftline.synthetic_motion import HEIGHT, WIDTH, similarity, textured


def planes() -> tuple[np.ndarray, ...]:
    half = (WIDTH // 2, HEIGHT // 2)
    return textured(WIDTH, HEIGHT), textured(*half, 1), textured(*half, 2)


def test_shear_and_stretch_of_moving_rows_are_no_turn_and_no_scale() -> None:
    truth = similarity(5, -3, degrees=1.0, scale=1.01)
    sheared = truth.copy()
    sheared[:2, 1] += (0.02, -0.015)  # what y does, after a change of speed
    sheared[:2, 2] -= np.array([0.02, -0.015]) * (HEIGHT - 1) / 2  # nothing in the middle row
    np.testing.assert_allclose(without_shear(sheared, WIDTH, HEIGHT), truth, atol=1e-6)


def test_rows_are_put_where_the_middle_row_has_them() -> None:
    upright = planes()
    sweep = similarity(8, 0)  # the camera moves by 8 px while a frame is read
    read = np.empty_like(upright[0])
    for row in range(HEIGHT):
        read[row] = np.roll(upright[0][row], round(8 * ((row + 0.5) / HEIGHT - 0.5)))
    shown = warp_rows((read,), np.eye(3), sweep, "linear")[0].astype(float)
    inner = np.s_[:, 10:-10]
    off = np.abs(read[inner].astype(float) - upright[0][inner]).mean()
    assert np.abs(shown[inner] - upright[0][inner]).mean() < off / 4  # the rows above were rolled by whole px


def test_a_camera_that_stands_while_it_reads_is_warped_as_ever() -> None:
    matrix = similarity(2.5, -1.25, degrees=0.5, scale=1.05)
    for rows, whole in zip(warp_rows(planes(), matrix, np.eye(3)), warp_yuv420(planes(), matrix), strict=True):
        assert np.abs(rows[4:-4, 4:-4].astype(int) - whole[4:-4, 4:-4]).mean() < 0.6  # 1/32 px of rounding in each


def test_the_sweep_is_the_path_s_speed_times_the_read_out() -> None:
    times = np.array([0.0, 0.03, 0.07, 0.1, 0.16])
    path = np.zeros((5, 8))
    path[:, 2] = 200 * times
    expected = motion_matrices(np.array([[0, 0, 4.0, 0, 0, 0, 0, 0]]), WIDTH, HEIGHT)[0]
    np.testing.assert_allclose(sweeps(times, path, 0.02, WIDTH, HEIGHT), np.tile(expected, (5, 1, 1)), atol=1e-9)


@pytest.mark.parametrize("frames", [1, 2])
def test_too_short_a_path_has_no_speed(frames: int) -> None:
    found = sweeps(np.arange(frames) / 30, np.ones((frames, 8)), 0.02, WIDTH, HEIGHT)
    np.testing.assert_array_equal(found, np.tile(np.eye(3), (frames, 1, 1)))
