from __future__ import annotations

import numpy as np
import pytest

from raftline.stabilize.export.camera_steps import CameraStep
from raftline.stabilize.export.focal_length import estimated_focal_px
from raftline.stabilize.export.rotation import focal_px, rotation_matrix

WIDTH, HEIGHT = 640, 360


def steps(
    view_degrees: float, turn_degrees: float = 0.8, noise_px: float = 0.0, seed: int = 0, count: int = 90
) -> list[CameraStep]:
    """Of a camera that turns about all axes, its motion fitted to points that are off by some noise."""
    random = np.random.default_rng(seed)
    focal = focal_px(WIDTH, view_degrees)
    k = np.array([[focal, 0, (WIDTH - 1) / 2], [0, focal, (HEIGHT - 1) / 2], [0, 0, 1]])
    about = np.cumsum(random.normal(0, np.radians(turn_degrees) / 3, (count, 3)), axis=0)
    about = np.radians(turn_degrees) * np.tanh(about / np.radians(turn_degrees))
    made = []
    for number, turn in enumerate(about):
        motion = k @ rotation_matrix(turn) @ np.linalg.inv(k)
        motion[2, :2] += random.normal(0, noise_px / WIDTH**2, 2)
        motion[:2, 2] += random.normal(0, noise_px, 2)
        made.append(CameraStep(number / 30, WIDTH, HEIGHT, motion / motion[2, 2], number == 0, 1.0, "homography"))
    return made


@pytest.mark.parametrize("view_degrees", [30, 45, 65, 90, 115])
def test_the_focal_length_is_that_of_the_camera(view_degrees: float) -> None:
    found = estimated_focal_px(steps(view_degrees))
    assert found == pytest.approx(focal_px(WIDTH, view_degrees), rel=0.02)


@pytest.mark.parametrize("seed", range(3))
def test_noise_of_the_measurement_changes_it_little_or_it_is_not_told(seed: int) -> None:
    found = estimated_focal_px(steps(65, noise_px=0.02, seed=seed))
    assert found is None or found == pytest.approx(focal_px(WIDTH, 65), rel=0.1)


def test_a_camera_that_hardly_turns_tells_nothing() -> None:
    assert estimated_focal_px(steps(65, turn_degrees=0.01)) is None


def test_a_path_without_perspective_tells_nothing() -> None:
    shifts = [np.array([[1, 0, 5.0 * (-1) ** (n // 15)], [0, 1, 2.0], [0, 0, 1]]) for n in range(90)]
    path = [CameraStep(n / 30, WIDTH, HEIGHT, each, n == 0, 1.0, "similarity") for n, each in enumerate(shifts)]
    assert estimated_focal_px(path) is None
    assert estimated_focal_px(path[:1]) is None


def test_a_camera_that_moves_sideways_before_a_wall_tells_nothing() -> None:
    tilted = [np.array([[1, 0, 6.0], [0, 1, 0], [1e-5 * np.sin(n / 9), 0, 1]]) for n in range(90)]
    path = [CameraStep(n / 30, WIDTH, HEIGHT, each, n == 0, 1.0, "homography") for n, each in enumerate(tilted)]
    assert estimated_focal_px(path) is None
