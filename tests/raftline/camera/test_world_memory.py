"""The world is known again behind what moves."""

from __future__ import annotations

import json

import cv2
import numpy as np

from raftline.camera.luma_pyramid import LumaPyramid
from raftline.camera.texture import texture_weights
from raftline.camera.transforms import frame_corners, transform_points
from raftline.camera.world_memory import Sighting, WorldMemory
from tests.raftline.synthetic_motion import HEIGHT, WIDTH, similarity

RNG = np.random.default_rng(6)
WORLD, THING = (
    np.clip(128 + 45 * cv2.GaussianBlur(RNG.normal(0, 1, (HEIGHT + 60, WIDTH + 60)), (0, 0), 2.5) * 7, 0, 255)
    for _ in range(2)
)
CELLS = (-(-HEIGHT // 8), -(-WIDTH // 8))
CAMERA = similarity(4.0, -2.0, degrees=0.5)
THINGS = CAMERA @ similarity(7.0, 0.0)


def frame(camera: np.ndarray, thing: np.ndarray | None = None) -> np.ndarray:
    """The world as `camera` has it; before it, over 60 % of the frame, a thing that `thing` has moved."""
    size, to_frame = (WIDTH, HEIGHT), np.array([[1.0, 0, -30], [0, 1, -30], [0, 0, 1]])
    image = cv2.warpPerspective(WORLD, camera @ to_frame, size, flags=cv2.INTER_CUBIC)
    if thing is not None:
        cover = np.zeros((HEIGHT + 60, WIDTH + 60), np.uint8)
        cover[40:, 100:310] = 1
        over = cv2.warpPerspective(cover, thing @ to_frame, size, flags=cv2.INTER_NEAREST)
        image = np.where(over, cv2.warpPerspective(THING, thing @ to_frame, size, flags=cv2.INTER_CUBIC), image)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def remembered() -> WorldMemory:
    memory, luma = WorldMemory(), frame(np.eye(3))
    memory.keep(LumaPyramid.of(luma), np.ones(CELLS), texture_weights(luma), contested=False)
    return memory


def off_px(found: Sighting | None, true: np.ndarray) -> float:
    assert found is not None
    corners = frame_corners(WIDTH, HEIGHT)
    return float(np.abs(transform_points(found.motion.matrix, corners) - transform_points(true, corners)).max())


BEFORE, NOW = LumaPyramid.of(frame(np.eye(3))), LumaPyramid.of(frame(CAMERA, THINGS))


def test_the_world_is_told_from_what_covers_most_of_it() -> None:
    found = remembered().sighting(BEFORE, NOW, [THINGS, CAMERA], "similarity")
    assert off_px(found, CAMERA) < 0.1
    assert found is not None
    seen = found.known > 0.5
    thing = np.zeros(CELLS, bool)
    thing[4:, 12:34] = True
    assert np.mean(found.agrees[seen & thing]) < 0.25 and np.mean(found.agrees[seen & ~thing]) > 0.5


def test_it_is_found_without_a_guess_that_is_right() -> None:
    assert off_px(remembered().sighting(None, NOW, [THINGS], "similarity"), CAMERA) < 0.5


def test_it_is_found_over_frames_that_were_lost_from_a_rough_guess() -> None:
    memory, far, rough = remembered(), similarity(11.0, 6.0), similarity(10.0, 5.0)
    assert off_px(memory.sighting(BEFORE, LumaPyramid.of(frame(far, THINGS)), [rough], "similarity"), far) < 0.2


def test_another_place_is_not_the_world() -> None:
    other = LumaPyramid.of(np.clip(THING[:HEIGHT, :WIDTH], 0, 255).astype(np.uint8))
    assert remembered().sighting(BEFORE, other, [np.eye(3)], "similarity") is None
    assert WorldMemory().sighting(BEFORE, NOW, [np.eye(3)], "similarity") is None


def test_what_is_hidden_stays_known_until_it_shows_again() -> None:
    memory = remembered()
    for _ in range(2):
        memory.follow(CAMERA, 2.0)
        belief = np.ones(CELLS)
        belief[2:, 10:36] = 0.0
        now = LumaPyramid.of(frame(CAMERA, THINGS))
        memory.keep(now, belief, texture_weights(frame(CAMERA, THINGS)), contested=True)
        memory.follow(np.linalg.inv(CAMERA), 0.0)
    found = memory.sighting(LumaPyramid.of(frame(CAMERA, THINGS)), BEFORE, [np.eye(3)], "similarity")
    assert found is not None and found.motion.inlier_share > 0.5


def test_a_world_without_texture_is_none() -> None:
    memory, blank = WorldMemory(), np.full((HEIGHT, WIDTH), 90, np.uint8)
    memory.keep(LumaPyramid.of(blank), np.ones(CELLS), texture_weights(blank), contested=False)
    assert memory.sighting(BEFORE, NOW, [np.eye(3)], "similarity") is None


def test_it_goes_on_from_its_state() -> None:
    memory = remembered()
    memory.follow(similarity(1.0, 0.5), 0.1)
    text = json.dumps(memory.state())
    assert len(text) < 25_000
    again = WorldMemory.from_state(json.loads(text))
    one, other = (each.sighting(BEFORE, NOW, [CAMERA], "similarity") for each in (memory, again))
    assert one is not None and other is not None
    np.testing.assert_array_equal(one.motion.matrix, other.motion.matrix)
    assert WorldMemory.from_state(WorldMemory().state()).empty
