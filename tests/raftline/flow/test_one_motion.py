"""Frames that move as one, and frames of which a part moves on its own."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from raftline.flow.dis import estimate_dis_px
from raftline.flow.one_motion import moves_as_one

HEIGHT, WIDTH = 180, 320


def flow_of(matrix: np.ndarray) -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    x = matrix[0, 0] * columns + matrix[0, 1] * rows + matrix[0, 2]
    y = matrix[1, 0] * columns + matrix[1, 1] * rows + matrix[1, 2]
    return np.stack([x - columns, y - rows], axis=-1).astype(np.float32)


@pytest.mark.parametrize("degrees", [0, 3, -8])
@pytest.mark.parametrize("scale", [0.95, 1.0, 1.1])
@pytest.mark.parametrize("shift", [(0, 0), (14, -6)])
def test_a_camera_that_turns_zooms_and_shifts_moves_the_frame_as_one(
    degrees: float, scale: float, shift: tuple[float, float]
) -> None:
    matrix = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), degrees, scale)
    matrix[:, 2] += shift
    noise = np.random.default_rng(0).normal(0, 0.1, (HEIGHT, WIDTH, 2)).astype(np.float32)
    assert moves_as_one(flow_of(matrix) + noise)


@pytest.mark.parametrize(("share", "as_one"), [(0.1, True), (0.4, False), (0.6, False)])
def test_a_part_that_moves_on_its_own_counts_by_its_size(share: float, as_one: bool) -> None:
    flow = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    flow[:, : round(share * WIDTH)] = (5, 1)
    assert moves_as_one(flow) == as_one


def test_rows_that_are_read_late_move_the_frame_as_one() -> None:
    assert moves_as_one(flow_of(np.array([[1.0, 0.02, 3.0], [0.0, 1.03, -2.0]])))


def test_of_a_frame_with_luma_what_has_no_texture_does_not_count() -> None:
    flow = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    wall = slice(0, WIDTH // 2)
    wild = np.random.default_rng(0).normal(0, 5, (HEIGHT // 20, WIDTH // 40, 2)).astype(np.float32)
    flow[:, wall] = cv2.resize(wild, (WIDTH // 2, HEIGHT))
    luma = texture(0, HEIGHT, WIDTH)[..., 0].copy()
    assert not moves_as_one(flow, luma=luma)
    luma[:, wall] = 128
    assert not moves_as_one(flow)
    assert moves_as_one(flow, luma=luma)
    assert not moves_as_one(flow, luma=np.full_like(luma, 128)), "with no texture at all, all of it counts"


@pytest.mark.parametrize("size", [(8, 8), (16, 300), (1, 1)])
def test_small_frames_are_judged_too(size: tuple[int, int]) -> None:
    assert moves_as_one(np.zeros((*size, 2), np.float32)) in (True, False)


def texture(seed: int, height: int, width: int) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]


def two_frames(apart: bool) -> list[np.ndarray]:
    """Of a world that moves by (-6, -4) px, and with `apart` of something in the left half that moves by (6, 0)."""
    world, nearer = texture(0, HEIGHT + 20, WIDTH + 20), texture(1, HEIGHT + 20, WIDTH // 2 + 20)
    frames = []
    for step in range(2):
        frame = world[4 * step : 4 * step + HEIGHT, 6 * step : 6 * step + WIDTH].copy()
        if apart:
            frame[:, : WIDTH // 2] = nearer[:HEIGHT, 10 - 6 * step : 10 - 6 * step + WIDTH // 2]
        frames.append(frame)
    return frames


def test_the_adaptive_preset_is_about_as_exact_as_the_fast_one_where_the_frame_moves_as_one() -> None:
    adaptive, fast = (estimate_dis_px(*two_frames(apart=False), preset=preset) for preset in ("adaptive", "fast"))
    of_adaptive, of_fast = (np.median(np.linalg.norm(flow - (-6, -4), axis=-1)) for flow in (adaptive, fast))
    assert of_adaptive < of_fast + 0.05


def test_the_adaptive_preset_is_more_exact_than_the_fast_one_where_parts_move_on_their_own() -> None:
    truth = np.empty((HEIGHT, WIDTH, 2), np.float32)
    truth[:, : WIDTH // 2], truth[:, WIDTH // 2 :] = (6, 0), (-6, -4)
    errors_px = [
        float(np.linalg.norm(estimate_dis_px(*two_frames(apart=True), preset=preset) - truth, axis=-1).mean())
        for preset in ("adaptive", "fast")
    ]
    assert errors_px[0] < 0.8 * errors_px[1]
