"""Rendered scenes of a fixed camera in which something happens, or nothing, and what a perfect observer would tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.motion_masks.clips import read_rgb
from benchmarks.motion_masks.happenings.actors import Actor, Key

SIZE = (320, 180)
"""Width, height, px."""
FPS = 10
_LEAST_AREA = 0.0008
"""Of the frame: the default of `min_area`."""
_GRAIN = 0.06
"""Contrast of the fine texture that photographs lose when they are shrunk."""

Effect = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
"""float32 (H, W, 3) RGB, the time in s and chance -> what becomes of it."""
Span = tuple[float, float]


@dataclass(frozen=True)
class Scene:
    """What is seen, by whom, and when."""

    seconds: float
    actors: tuple[Actor, ...] = ()
    """Later ones stand in front of earlier ones."""
    photograph: int = 11
    """Of the background, by number in the data's folder."""
    times: tuple[float, ...] = ()
    """Of the frames, s; empty: `FPS` a second."""
    light: float = 1.0
    noise: float = 2.0
    """Sigma, grey levels."""
    effects: tuple[Effect, ...] = ()
    """Weather and light, before everybody."""
    backdrops: tuple[Effect, ...] = ()
    """What goes on for ever, behind everybody."""
    pillar: tuple[float, float] | None = None
    """Left and right of something that stands in front of everybody, px."""
    camera: Callable[[float], tuple[float, float]] = lambda seconds: (0.0, 0.0)
    """Where the frame's upper left corner lies in the world at a time, px."""
    world: tuple[int, int] = SIZE
    """Width, height of the world, px."""
    bit_rate: int | None = None
    """b/s of H.264; None: it is not coded."""
    learned_seconds: float = 0.0
    """What is told to have ended before then is no fault: so long it takes to know what goes on for ever, s."""
    merge_seconds: float = 2.0
    seed: int = 0

    @property
    def frame_times(self) -> tuple[float, ...]:
        """Of the frames, s."""
        return self.times or tuple(np.arange(0, self.seconds, 1 / FPS).tolist())


@dataclass(frozen=True)
class Seen:
    """One frame with its truth."""

    seconds: float
    image: np.ndarray
    """uint8 (H, W, 3) RGB."""
    moves: np.ndarray
    """bool (H, W): those who move."""
    stands: np.ndarray
    """bool (H, W): those who do not."""


def render(data: Path, scene: Scene) -> Iterator[Seen]:
    """Make the frames of a scene."""
    rng = np.random.default_rng(scene.seed)
    world = _world(data, scene, rng)
    before: float | None = None
    for seconds in scene.frame_times:
        x, y = scene.camera(seconds)
        to_frame = np.array([[1, 0, -x], [0, 1, -y]], np.float64)
        image = cv2.warpAffine(world, to_frame, SIZE, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        for effect in scene.backdrops:
            image = effect(image, seconds, rng)
        covers = _draw(image, scene, seconds, (x, y), world)
        for effect in scene.effects:
            image = effect(image, seconds, rng)
        noisy = image * np.float32(scene.light)
        noisy += np.float32(scene.noise) * rng.standard_normal(image.shape, np.float32)
        moving = [_moved(actor, before, seconds) for actor in scene.actors]
        moves, stands = (
            np.any([cover > 0.5 for cover, goes in zip(covers, moving, strict=True) if goes == wanted] + [_NOBODY], 0)
            for wanted in (True, False)
        )
        yield Seen(seconds, np.clip(noisy, 0, 255).astype(np.uint8), moves, stands)
        before = seconds


_NOBODY = np.zeros(SIZE[::-1], bool)


def true_events(frames: list[tuple[float, np.ndarray]], merge_seconds: float) -> list[Span]:
    """Return begin and end of each event, s, of frames' times and of what moves in them, bool (H, W).

    Motion in a frame is motion since the one before; less than the least region does not count.
    """
    events: list[Span] = []
    before = frames[0][0]
    for seconds, moves in frames:
        if np.count_nonzero(moves) >= _LEAST_AREA * moves.size:
            # From one frame to the next is no pause.
            if events and before - events[-1][1] <= merge_seconds:
                events[-1] = (events[-1][0], seconds)
            else:
                events.append((before, seconds))
        before = seconds
    return events


def _world(data: Path, scene: Scene, rng: np.random.Generator) -> np.ndarray:
    image = read_rgb(sorted((data / "textures").glob("*.jpg"))[scene.photograph])
    wide, high = scene.world
    scale = max(wide / image.shape[1], high / image.shape[0])
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[:high, :wide]
    grain = cv2.GaussianBlur(rng.standard_normal((high, wide), np.float32), (0, 0), 1.2)
    # No part of a scene by day is quite black.
    return ((25 + 0.85 * image.astype(np.float32)) * (1 + _GRAIN / grain.std() * grain)[..., None]).astype(np.float32)


def _draw(
    image: np.ndarray, scene: Scene, seconds: float, origin: tuple[float, float], world: np.ndarray
) -> list[np.ndarray]:
    """Draw the actors; float32 (H, W) for each: how much of each px is seen of it."""
    covers: list[np.ndarray] = []
    for actor in scene.actors:
        key = actor.at(seconds)
        cover = np.zeros(SIZE[::-1], np.float32)
        if key is not None and _near(key, origin):
            drawn = actor.drawn(key, origin, SIZE)
            image[drawn.place] += (drawn.colors - image[drawn.place]) * drawn.cover[..., None]
            for other in covers:
                other[drawn.place] *= 1 - drawn.cover
            cover[drawn.place] = drawn.cover
        covers.append(cover)
    if scene.pillar is not None:
        left, right = (round(each - origin[0]) for each in scene.pillar)
        image[:, max(left, 0) : max(right, 0)] = 0.5 * world[::-1][: SIZE[1], max(left, 0) : max(right, 0)] + 40
        for cover in covers:
            cover[:, max(left, 0) : max(right, 0)] = 0
    return covers


def _near(key: Key, origin: tuple[float, float]) -> bool:
    return -2 * key.tall_px < key.x_px - origin[0] < SIZE[0] + 2 * key.tall_px


def _moved(actor: Actor, before: float | None, seconds: float) -> bool:
    """Whether it goes from a frame to the next. What is put down comes out of a hand: it does not go."""
    if before is None or (now := actor.at(seconds)) is None:
        return False
    was = actor.at(before)
    return was is not None and was[1:] != now[1:]
