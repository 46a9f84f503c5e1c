"""A camera that stands, under light that changes, and the events that masks tell of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from raftline.masks.motion_masks import MotionMasks
from tests.raftline.synthetic_motion import textured

WIDTH, HEIGHT, FPS = 320, 180, 10
DAY = cv2.GaussianBlur(textured(WIDTH, HEIGHT, seed=6).astype(np.float32), (0, 0), 2.0)
INFRARED = 0.6 * textured(WIDTH, HEIGHT, seed=7).astype(np.float32) + 0.4 * DAY
"""Other contrasts than by day."""
_PERSON = textured(20, 40, seed=9).astype(np.float32)
_WALK_SECONDS = 2


@dataclass(frozen=True)
class Light:
    """A stretch of frames in one light."""

    frames: int
    gains: tuple[float, float] = (1.0, 1.0)
    """At its begin and at its end."""
    scene: np.ndarray = field(default_factory=lambda: DAY)
    noise: float = 2.0
    """Sigma, grey levels."""


def lit(lights: Sequence[Light], walks: bool = True) -> Iterator[np.ndarray]:
    """Make uint8 (h, w) frames under one light after the other; then somebody walks through the last for 2 s."""
    rng, gain, last = np.random.default_rng(0), 1.0, Light(0)
    for light in lights:
        begin, end = light.gains
        for at in range(1, light.frames + 1):
            gain, last = begin + (end - begin) * at / light.frames, light
            yield _noisy(gain * light.scene, light.noise, rng)
    for at in range(_WALK_SECONDS * FPS if walks else 0):
        image = gain * last.scene
        image[60:100, 8 * at : 8 * at + 20] = gain * _PERSON
        yield _noisy(image, last.noise, rng)


def events_begin(frames: Iterable[np.ndarray]) -> list[float]:
    """Return when the events of uint8 frames (h, w) or (h, w, 3) RGB begin, s."""
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    masks, before, found = MotionMasks(), None, []
    for image in frames:
        luma = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        flow = None if before is None else np.asarray(dis.calc(before, luma, None), np.float32)  # pyright: ignore[reportCallIssue, reportArgumentType]
        size = (-(-luma.shape[1] // 8), -(-luma.shape[0] // 8))
        grid_px = None if flow is None else cv2.resize(flow, size, interpolation=cv2.INTER_AREA)
        found += masks.step([image], grid_px, step_seconds=1 / FPS)
        before = luma
    return [result.began.begin_seconds for result in found + masks.flush() if result.began]


def _noisy(image: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    return np.clip(image + rng.normal(0, sigma, image.shape), 0, 255).astype(np.uint8)
