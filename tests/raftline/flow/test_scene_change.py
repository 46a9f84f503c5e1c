"""Duplicates and cuts, found in real clips and in made ones."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from raftline.flow.scene_change import ChangeDetector, block_difference
from tests.data import data_path
from tests.raftline.raft.recipes import waves

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
