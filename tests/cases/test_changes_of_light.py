"""The light of a whole scene changes, at once or over many frames, and nothing moves; then somebody walks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.cases.lights import FPS, INFRARED, Light, events_begin, lit
from tests.raftline.synthetic_motion import textured

LEARNED = Light(35)
BLACKENS, NIGHT, OVEREXPOSED = Light(8, (1.0, 0.0)), Light(20, scene=INFRARED, noise=8.0), Light(3, (4.0, 4.0))
CASES = {
    "2 frames to black, infrared": [Light(2, (1.0, 0.0)), NIGHT],
    "8 frames to black, infrared": [BLACKENS, NIGHT],
    "8 frames to black, a second of it, infrared": [BLACKENS, Light(10, (0.0, 0.0)), NIGHT],
    "to black and back": [Light(20, (1.0, 0.0)), Light(20, (0.0, 1.0)), Light(20)],
    "40 frames darker": [Light(40, (1.0, 0.3), noise=3.0), Light(20, (0.3, 0.3), noise=5.0)],
    "8 frames brighter": [Light(8, (1.0, 1.8)), Light(20, (1.8, 1.8))],
    "3 overexposed, infrared": [OVEREXPOSED, NIGHT],
    "3 overexposed": [OVEREXPOSED, Light(20)],
    "steps of gain": [
        Light(4, (0.8, 0.8), noise=3.0), Light(4, (0.6, 0.6), noise=3.0), Light(20, (0.45, 0.45), noise=4.0)
    ],
}  # fmt: skip


@pytest.mark.parametrize("lights", CASES.values(), ids=CASES)
def test_a_change_of_the_light_is_no_event_and_who_walks_afterwards_is_one(lights: list[Light]) -> None:
    lights = [LEARNED, *lights]
    walks = sum(light.frames for light in lights) / FPS
    assert events_begin(lit(lights)) == [pytest.approx(walks, abs=0.35)]


@pytest.mark.parametrize("gains", [(1.25, 1.0, 0.75), (0.8, 1.0, 1.3), (1.0, 1.0, 0.6)])
def test_a_step_of_the_white_balance_is_no_event(gains: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(0)
    day = np.stack([cv2.GaussianBlur(textured(160, 96, seed=seed), (0, 0), 2.0) for seed in (1, 2, 3)], axis=2)
    day[:60] //= 4  # most of it is dark, and stays as bright as it was
    shown = [day] * (3 * FPS) + [day * np.array(gains)] * (2 * FPS)
    frames = [np.clip(each + rng.normal(0, 2, day.shape), 0, 255).astype(np.uint8) for each in shown]
    assert events_begin(frames) == []
