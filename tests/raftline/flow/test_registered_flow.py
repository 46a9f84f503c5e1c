"""Flow of frames that move as one, measured on their pixels."""

from __future__ import annotations

import functools

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from raftline.flow.grid import Cells
from raftline.flow.registered_flow import Registration, SmallFrame

HEIGHT, WIDTH, MARGIN = 360, 640, 60
CELLS = Cells.of(HEIGHT, WIDTH)
STILL = np.eye(3)
INNER = np.s_[6:-6, 6:-6]


@functools.cache
def world(seed: int = 0) -> npt.NDArray[np.uint8]:
    """Smooth texture of all sizes from 6 px up."""
    rng = np.random.default_rng(seed)
    shape = HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN
    layers = [cv2.GaussianBlur(rng.standard_normal(shape), (0, 0), sigma) * sigma for sigma in (3, 8, 20)]
    return np.clip(128 + 130 * sum(layers), 0, 255).astype(np.uint8)


def seen(texture: npt.NDArray[np.uint8], motion: npt.NDArray[np.float64] = STILL) -> npt.NDArray[np.uint8]:
    """A frame whose content was moved by `motion` (3, 3), px."""
    placed = motion @ [[1, 0, -MARGIN], [0, 1, -MARGIN], [0, 0, 1]]
    return cv2.warpPerspective(texture, placed, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC).astype(np.uint8)


def camera(degrees: float = 0.0, scale: float = 1.0, shift: tuple[float, float] = (0, 0)) -> npt.NDArray[np.float64]:
    matrix = np.vstack([cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), degrees, scale), [0, 0, 1]])
    matrix[:2, 2] += shift
    return matrix


def flow_of(motion: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    rows, columns = np.mgrid[: CELLS.rows, : CELLS.columns] * 8 + 3.5
    here = np.stack([columns, rows], axis=-1)
    return here @ motion[:2, :2].T + motion[:2, 2] - here


def found(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32] | None:
    return Registration()(SmallFrame.of(one), SmallFrame.of(other), CELLS)


@pytest.mark.parametrize(
    "motion", [camera(), camera(2, 1.02, (9, -5)), camera(-1.5, 0.98, (-22, 14))], ids=["still", "shaken", "far"]
)
def test_the_motion_of_a_frame_that_moves_as_one_is_found_at_every_cell(motion: npt.NDArray[np.float64]) -> None:
    flow = found(seen(world()), seen(world(), motion))
    assert flow is not None and flow.dtype == np.float32
    assert np.abs(flow - flow_of(motion)).max() < 0.15


def test_noise_and_a_change_of_brightness_are_no_motion() -> None:
    rng, motion = np.random.default_rng(0), camera(1, 1.01, (4, 3))
    frames = [seen(world()) * 0.5, seen(world(), motion) * 0.5 + 20]
    noisy = [np.clip(frame + rng.normal(0, 6, frame.shape), 0, 255).astype(np.uint8) for frame in frames]
    flow = found(noisy[0], noisy[1])
    assert flow is not None
    assert np.sqrt(np.square(flow - flow_of(motion)).mean()) < 0.2


def test_what_lies_a_little_apart_keeps_its_own_motion() -> None:
    motion, beside = camera(shift=(5, 2)), camera(shift=(5.8, 2))
    later = seen(world(), motion)
    later[:, WIDTH // 2 :] = seen(world(), beside)[:, WIDTH // 2 :]
    flow = found(seen(world()), later)
    assert flow is not None
    left, right = (np.median(half[INNER], axis=(0, 1)) for half in np.split(flow, 2, axis=1))
    np.testing.assert_allclose(left, (5, 2), atol=0.1)
    np.testing.assert_allclose(right, (5.8, 2), atol=0.1)


@pytest.mark.parametrize("share", [0.15, 0.5])
def test_a_part_that_moves_on_its_own_is_for_the_network(share: float) -> None:
    frames = [seen(world()), seen(world(), camera(shift=(5, 2)))]
    for frame, x in zip(frames, (0, -6), strict=True):
        frame[:, : round(share * WIDTH)] = seen(world(1), camera(shift=(x, 0)))[:, : round(share * WIDTH)]
    assert found(frames[0], frames[1]) is None


def test_what_has_no_texture_tells_nothing() -> None:
    assert found(*[np.full((HEIGHT, WIDTH), 90, np.uint8)] * 2) is None
    assert found(seen(world()), seen(world(1))) is None, "another scene"


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (40, 300)])
def test_small_frames_are_looked_at_too(size: tuple[int, int]) -> None:
    small = SmallFrame.of(np.zeros(size, np.uint8))
    assert Registration()(small, small, Cells.of(*size)) is None
