"""Duplicates and cuts, found in real clips and in made ones."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from raftline.flow.scene_change import ChangeDetector, block_difference
from tests.data import data_path
from tests.raftline.raft.recipes import texture, waves

DUPLICATE, CUT = 0.5, 0.4


def judged(name: str, wanted: str, count: int = 260) -> list[int]:
    """Numbers of the frames of a clip that are judged so."""
    capture = cv2.VideoCapture(str(data_path("video", *name.split("/"))))
    detector = ChangeDetector(DUPLICATE, CUT)
    found = []
    for number in range(count):
        read, frame = capture.read()
        if not read:
            break
        if detector.judge(np.ascontiguousarray(frame[:, :, ::-1]).astype(np.uint8)) == wanted:
            found.append(number)
    capture.release()
    return found


@pytest.mark.parametrize("name", ["odd/bikes.mp4", "odd/scene_cuts.mp4"])
def test_the_cuts_of_an_edited_clip_are_found_and_no_others(name: str) -> None:
    # Seen by eye. In scene_cuts.mp4 the film is the left half of the image, the right half hardly changes.
    assert judged(name, "scene_cut") == [30, 76, 137, 187, 242]


@pytest.mark.parametrize(
    "name", ["shaky/cockatoo.mp4", "shaky/meshflow-3.m4v", "static/car-detection.mp4", "static/example_video.mp4"]
)
def test_shake_fast_objects_and_bright_signs_are_no_cuts(name: str) -> None:
    assert judged(name, "scene_cut") == []


def test_a_jump_of_the_exposure_is_no_cut() -> None:
    detector = ChangeDetector(DUPLICATE, CUT)
    detector.judge(waves(120, 160))
    brighter = np.clip(waves(120, 160).astype(np.int32) * 0.6 + 90, 0, 255).astype(np.uint8)
    assert detector.judge(brighter) == "continuous"


def judgements(frames: list[npt.NDArray[np.uint8]]) -> list[str]:
    detector = ChangeDetector(DUPLICATE, CUT)
    return [detector.judge(frame) for frame in frames]


def shaken(world: npt.NDArray[np.uint8], seed: int, count: int = 8) -> list[npt.NDArray[np.uint8]]:
    """Views of 320x180 px, off the middle by 6 px rms along each axis."""
    rng = np.random.default_rng(seed)
    views = []
    for x, y in rng.normal(0, 6, (count, 2)):
        to_view = np.array([[1.0, 0, x - (world.shape[1] - 320) / 2], [0, 1.0, y - (world.shape[0] - 180) / 2]])
        views.append(cv2.warpAffine(world, to_view, (320, 180)).astype(np.uint8))
    return views


def grass(seed: int) -> npt.NDArray[np.uint8]:
    """A world of 400x240 px of upright blades, 1 px wide and 8 px tall."""
    noise = np.random.default_rng(seed).standard_normal((240, 400)).astype(np.float32)
    blades = cv2.GaussianBlur(noise, (0, 0), sigmaX=0.8, sigmaY=4)
    grey = np.clip(128 + 45 * blades / blades.std(), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


@pytest.mark.parametrize("seed", range(4))
def test_fine_texture_that_shakes_is_no_cut_and_another_one_is(seed: int) -> None:
    frames = [*shaken(grass(seed), seed), *shaken(grass(seed + 50), seed)]
    assert judgements(frames) == ["first", *["continuous"] * 7, "scene_cut", *["continuous"] * 7]


@pytest.mark.parametrize(("gain", "offset"), [(2.2, 0), (3.5, 0), (0.3, 0), (1.6, 40), (0.0, 0), (0.0, 255)])
def test_a_flash_ends_no_scene(gain: float, offset: float) -> None:
    frames = shaken(np.asarray(cv2.GaussianBlur(texture(240, 400), (0, 0), 3), np.uint8), 1)
    frames[4] = np.clip(frames[4] * gain + offset, 0, 255).astype(np.uint8)
    found = judgements(frames)
    assert found.count("scene_cut") == found.count("resumed") <= 1
    assert "scene_cut" not in found or found.index("resumed") == found.index("scene_cut") + 1


def test_a_stray_frame_is_withdrawn_and_two_are_a_scene() -> None:
    scene, other = waves(96, 128), texture(96, 128)
    assert judgements([scene, other, waves(96, 128, 1)]) == ["first", "scene_cut", "resumed"]
    changed = [other, np.roll(other, 1, axis=1)]
    assert judgements([scene, *changed, scene]) == ["first", "scene_cut", "continuous", "scene_cut"]


def test_one_small_moving_thing_is_no_duplicate() -> None:
    detector = ChangeDetector(DUPLICATE, CUT)
    frame = waves(720, 1280)
    detector.judge(frame)
    assert detector.judge(frame) == "duplicate"
    moved = frame.copy()
    moved[300:306, 400:406] = 255 - moved[300:306, 400:406]
    assert detector.judge(moved) == "continuous"


def test_a_drift_too_slow_to_see_adds_up() -> None:
    detector = ChangeDetector(DUPLICATE, CUT)
    changes = [detector.judge(waves(96, 128, 0.02 * number)) for number in range(12)]
    assert changes[1] == "duplicate"
    assert "continuous" in changes


def test_black_frames_are_duplicates_and_the_first_image_after_them_is_a_cut() -> None:
    detector = ChangeDetector(DUPLICATE, CUT)
    black = np.zeros((96, 128, 3), np.uint8)
    assert [detector.judge(frame) for frame in (black, black, waves(96, 128))] == ["first", "duplicate", "scene_cut"]


def test_nothing_is_a_duplicate_or_a_cut_where_that_is_off() -> None:
    detector = ChangeDetector(None, None)
    black = np.zeros((96, 128, 3), np.uint8)
    frames: list[npt.NDArray[np.uint8]] = [black, black, waves(96, 128)]
    assert [detector.judge(frame) for frame in frames] == ["first", "continuous", "continuous"]


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1)])
def test_the_smallest_frames_are_judged(size: tuple[int, int]) -> None:
    detector = ChangeDetector(DUPLICATE, CUT)
    frame = np.full((*size, 3), 9, np.uint8)
    assert [detector.judge(f) for f in (frame, frame, frame + 90)] == ["first", "duplicate", "continuous"]


def test_another_size_and_a_reset_begin_anew() -> None:
    detector = ChangeDetector(DUPLICATE, CUT)
    assert detector.judge(waves(96, 128)) == "first"
    assert detector.judge(waves(96, 96)) == "first"
    detector.reset()
    assert detector.judge(waves(96, 96)) == "first"


@pytest.mark.parametrize("size", [(64, 96), (67, 93), (16, 16), (7, 300), (1, 1)])
def test_the_difference_is_that_of_the_block_that_differs_most(size: tuple[int, int]) -> None:
    before = np.full(size, 100, np.uint8)
    after = before.copy()
    after[:, : min(16, size[1])] += 2
    after[-min(16, size[0]) :, -min(16, size[1]) :] = 107
    # Where sides are no multiple of 16 px, blocks are a little larger or smaller and may hold some of what is around.
    exact = size[0] % 16 == 0 and size[1] % 16 == 0
    assert block_difference(before, after) == pytest.approx(7.0, abs=1e-6 if exact else 1.2)
    assert block_difference(before, before) == 0.0


def test_sums_over_a_large_bright_image_do_not_overflow() -> None:
    before, after = np.zeros((4400, 4096), np.uint8), np.full((4400, 4096), 255, np.uint8)
    assert before.size * 255 > 2**32
    assert block_difference(before, after) == 255.0
