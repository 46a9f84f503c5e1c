"""When a frame counts as still, on a texture with noise; 10 frames a second unless a test says otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from raftline.flow.stillness import StillnessDetector, _at_least_median
from tests.raftline.synthetic_motion import textured

WIDTH, HEIGHT, FPS = 384, 216, 10
SCENE = textured(WIDTH, HEIGHT).astype(np.float32)
BLOCK_PX = 4
"""Of a frame of this size."""

Draw = Callable[[np.ndarray, float], None]
"""Draws into the scene, float32 (h, w), what is there at a time in seconds."""


def nothing(image: np.ndarray, seconds: float) -> None:
    del image, seconds


def frames(draw: Draw, seconds: float, sigma: float = 2.0) -> Iterator[np.ndarray]:
    """Luma, uint8 (h, w), with white noise."""
    rng = np.random.default_rng(0)
    for at in range(round(seconds * FPS)):
        image = SCENE.copy()
        draw(image, at / FPS)
        noisy = image + rng.standard_normal(image.shape, np.float32) * sigma
        yield np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def verdicts(images: Iterator[np.ndarray] | Sequence[np.ndarray]) -> np.ndarray:
    """bool (N,): which frames are still."""
    detector = StillnessDetector(1.0)
    return np.array([detector.is_still([image], at / FPS) for at, image in enumerate(images)])


def test_it_says_where_something_changes() -> None:
    def moves(image: np.ndarray, seconds: float) -> None:
        left = 100 + round(40 * seconds)
        image[60:100, left : left + 24] = 20

    detector = StillnessDetector(1.0)
    for at, image in enumerate(frames(moves, 2)):
        detector.is_still([image], at / FPS)
    assert detector.changed is not None
    top, left, bottom, right = np.multiply(detector.changed, (HEIGHT, WIDTH, HEIGHT, WIDTH))
    # The recent frame is up to 0.75 s old: 30 px.
    assert abs(top - 60) <= BLOCK_PX and abs(bottom - 100) <= BLOCK_PX
    assert 100 + 76 - 34 - BLOCK_PX <= left <= 176 and 0 <= right - 200 <= BLOCK_PX
    for at, image in enumerate(frames(nothing, 2), 20):
        detector.is_still([image], at / FPS)
    assert detector.changed is None


def test_where_little_shows_whether_the_camera_moves_and_that_changes_all_may_have_changed() -> None:
    detector = StillnessDetector(1.0)
    for at in range(10):
        wall = np.full((HEIGHT, WIDTH), 150, np.uint8)
        wall[80:140, 100 + 3 * at : 200 + 3 * at] = SCENE[80:140, 100:200]
        detector.is_still([wall], at / FPS)
    assert detector.changed == (0, 0, 1, 1)


@pytest.mark.parametrize("sigma", [0.0, 0.5, 2.0, 5.0, 10.0])
def test_a_scene_with_nothing_but_noise_is_still_once_the_noise_is_known(sigma: float) -> None:
    still = verdicts(frames(nothing, 16, sigma))
    assert not still[:FPS].any()
    # Noise that is stronger than any before may be taken for a change.
    assert still[6 * FPS :].mean() > 0.85


def test_after_the_first_seconds_noise_of_a_good_camera_never_counts() -> None:
    assert verdicts(frames(nothing, 20))[5 * FPS :].all()


@pytest.mark.parametrize("sigma", [0.5, 2.0, 5.0])
def test_a_faint_thing_of_the_smallest_size_that_counts_is_seen_at_once(sigma: float) -> None:
    # A mask needs 8 levels without noise, more with it; min_area is 0.0008 of the frame.
    side, contrast = round((0.0008 * WIDTH * HEIGHT) ** 0.5), max(8.0, 2.8 * sigma)

    def appears(image: np.ndarray, seconds: float) -> None:
        if seconds >= 5:
            image[101 : 101 + side, 202 : 202 + side] += contrast

    still = verdicts(frames(appears, 8, sigma))
    assert still[5 * FPS - 1] and not still[5 * FPS : 6 * FPS].any()


@pytest.mark.parametrize("speed_px_s", [5.0, 20.0])
def test_what_moves_slowly_and_for_long_never_looks_still(speed_px_s: float) -> None:
    def goes(image: np.ndarray, seconds: float) -> None:
        left = 60 + speed_px_s * max(seconds - 4, 0)
        whole = int(left)
        image[80:110, whole + 1 : whole + 20] += 15
        image[80:110, whole] += 15 * (1 - (left - whole))
        image[80:110, whole + 20] += 15 * (left - whole)

    still = verdicts(frames(goes, 12))
    assert still[3 * FPS : 4 * FPS].all() and not still[round(4.8 * FPS) :].any()


def test_a_change_too_slow_to_be_seen_adds_up_until_it_is() -> None:
    def grows(image: np.ndarray, seconds: float) -> None:
        image[80:100, 100:140] += 0.8 * max(seconds - 4, 0)

    still = verdicts(frames(grows, 16, sigma=0.5))
    assert still[4 * FPS : 5 * FPS].all()
    assert not still[5 * FPS :].all()


def test_a_jump_of_the_light_is_a_change() -> None:
    def dims(image: np.ndarray, seconds: float) -> None:
        image *= 1.0 if seconds < 5 else 0.9

    still = verdicts(frames(dims, 8))
    assert still[5 * FPS - 1] and not still[5 * FPS] and still[-1]


def test_key_frames_at_which_every_block_changes_are_learned_to_be_noise() -> None:
    rng = np.random.default_rng(1)
    coded = [rng.normal(0, 0.8, (HEIGHT // 8, WIDTH // 8)).repeat(8, 0).repeat(8, 1) for _ in range(3)]

    def pulses(image: np.ndarray, seconds: float) -> None:
        image += coded[int(seconds / 3) % len(coded)]

    still = verdicts(frames(pulses, 24, sigma=0.0))
    assert not still[3 * FPS] and still[13 * FPS :].all()


def test_noise_that_was_learned_never_hides_what_differs_clearly() -> None:
    rng = np.random.default_rng(1)

    def flickers_then_appears(image: np.ndarray, seconds: float) -> None:
        image[:100] += rng.normal(0, 4, (25, WIDTH // 4)).repeat(4, 0).repeat(4, 1)
        if seconds >= 8:
            image[40:60, 100:120] += 30

    assert not verdicts(frames(flickers_then_appears, 10))[8 * FPS :].any()


def test_color_alone_is_a_change() -> None:
    detector = StillnessDetector(1.0)
    grey = np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint8)
    red = grey.copy()
    red[40:50, 40:50] = 160
    luma = list(frames(nothing, 5))
    still = [detector.is_still([image, grey, red if at >= 40 else grey], at / FPS) for at, image in enumerate(luma)]
    assert still[39] and not still[40]


def test_an_rgb_frame_is_judged_as_well() -> None:
    detector = StillnessDetector(1.0)
    images = [np.repeat(image[..., None], 3, axis=2) for image in frames(nothing, 4)]
    assert [detector.is_still([image], at / FPS) for at, image in enumerate(images)][-1]
    images[0][50:60, 50:60, 0] ^= 64
    assert not detector.is_still([images[0]], 4.0)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (131, 57), (1080, 1920)])
def test_frames_of_any_size_are_taken_and_another_size_begins_anew(size: tuple[int, int]) -> None:
    detector = StillnessDetector(1.0)
    plain, other = np.zeros(size, np.uint8), np.zeros((16, 16), np.uint8)
    still = [detector.is_still([plain], float(at)) for at in range(4)]
    assert still == [False, True, True, True]
    assert [detector.is_still([other], 4.0 + at) for at in range(2)] == [False, True]


def test_a_reset_begins_anew() -> None:
    detector = StillnessDetector(1.0)
    plain = np.zeros((16, 16), np.uint8)
    assert [detector.is_still([plain], float(at)) for at in range(3)][-1]
    detector.reset()
    assert not detector.is_still([plain], 3.0)


def test_frames_without_a_time_are_taken_to_come_at_the_usual_rate() -> None:
    detector = StillnessDetector(1.0)
    plain = np.zeros((16, 16), np.uint8)
    still = [detector.is_still([plain], None) for _ in range(40)]
    assert still.index(True) in (30, 31)  # sums of steps


def test_noise_is_the_median_wherever_that_is_more_than_what_is_left_of_the_noise_before() -> None:
    random = np.random.default_rng(5)
    for _ in range(200):
        values = np.round(random.random(random.integers(1, 9)), 1).astype(np.float32)  # even counts, and equal values
        for level in (0.0, float(values[0]), float(random.random())):
            assert _at_least_median(level, values) == max(level, float(np.median(values.astype(np.float64))))
