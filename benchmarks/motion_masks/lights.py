"""A camera that stands before a scene whose light changes while nothing moves; then somebody walks through it.

Photographs stand for the scene. Each clip is learned for 3.5 s, changes its light, stays so for 2 s, and ends with 2 s
of somebody who walks. Masks before that are false.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.motion_masks.clips import Clip, Shot, read_rgb
from benchmarks.motion_masks.scores import MaskScores

WIDTH, HEIGHT, FPS = 320, 180, 10
_LEARNED_FRAMES, _AFTER_FRAMES, _WALK_FRAMES = 35, 20, 20
_PERSON_PX = (20, 40)
_DAY_SIGMA, _NIGHT_SIGMA = 2.0, 8.0
"""Noise, grey levels."""
_LEAST_AREA = 0.0008
"""Of the frame: a false region from this on counts, the default `min_area`."""
_SCENES = ((5, 9), (13, 2))
"""Number of the photograph of the scene, and of what the one who walks wears; cases take turns."""


@dataclass(frozen=True)
class Stretch:
    """Frames in one light."""

    frames: int
    begin: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Gain of red, green and blue."""
    end: tuple[float, float, float] | None = None
    """The same at its end; None: as at its begin."""
    infrared: bool = False
    """Grey, with other contrasts, and more noise."""


def _even(gain: float) -> tuple[float, float, float]:
    return (gain, gain, gain)


def _ramp(frames: int, to: float, begin: float = 1.0) -> Stretch:
    return Stretch(frames, _even(begin), _even(to))


_NIGHT = Stretch(_AFTER_FRAMES, infrared=True)
FAMILIES: dict[str, tuple[tuple[Stretch, ...], ...]] = {
    "to infrared, at once or over black": (
        (_NIGHT,), (_ramp(2, 0.0), _NIGHT), (_ramp(8, 0.0), _NIGHT), (_ramp(8, 0.0), _ramp(10, 0.0, 0.0), _NIGHT),
        (Stretch(3, _even(4.0)), _NIGHT),
    ),
    "to darker or brighter": (
        (_ramp(8, 1.8), Stretch(_AFTER_FRAMES, _even(1.8))), (_ramp(40, 0.3), Stretch(_AFTER_FRAMES, _even(0.3))),
        (_ramp(60, 1.6, 0.5), Stretch(_AFTER_FRAMES, _even(1.6))), (Stretch(_AFTER_FRAMES, _even(0.6)),),
        (Stretch(4, _even(0.8)), Stretch(4, _even(0.6)), Stretch(_AFTER_FRAMES, _even(0.45))),
    ),
    "for a moment": (
        (_ramp(20, 0.0), _ramp(20, 1.0, 0.0), Stretch(_AFTER_FRAMES)), (Stretch(3, _even(4.0)), Stretch(_AFTER_FRAMES)),
        (Stretch(1, _even(2.2)), Stretch(_AFTER_FRAMES)), (Stretch(5, _even(0.4)), Stretch(_AFTER_FRAMES)),
    ),
    "white balance": (
        (Stretch(_AFTER_FRAMES, (1.25, 1.0, 0.75)),), (Stretch(_AFTER_FRAMES, (0.8, 1.0, 1.3)),),
        (Stretch(15, end=(1.2, 1.0, 0.7)), Stretch(_AFTER_FRAMES, (1.2, 1.0, 0.7))),
    ),
}  # fmt: skip


def light_clips(data: Path, family: str) -> list[Clip]:
    """Make the clips of one of `FAMILIES`."""
    return [
        Clip(f"light_{list(FAMILIES).index(family)}_{case}", FPS, _shots(data, stretches, _SCENES[case % len(_SCENES)]))
        for case, stretches in enumerate(FAMILIES[family])
    ]


class LightScores:
    """How much is masked while nothing moves, and how well who walks is found afterwards."""

    def __init__(self) -> None:
        """Begin with no frame."""
        self._walks = MaskScores()
        self._false: list[bool] = []

    def add(self, found: np.ndarray, shot: Shot) -> None:
        """Take a frame's mask, bool (H, W); of a frame that is scored."""
        if shot.moves.any():
            self._walks.add(found, shot.moves)
        else:
            self._false.append(_largest_share(found) >= _LEAST_AREA)

    def result(self) -> dict[str, float]:
        """The figures: seconds with a false region of all in which nothing moves, and F and J of who walks, 0-1."""
        walks = self._walks.result()
        return {
            "false_s": round(sum(self._false) / FPS, 1),
            "of_s": round(len(self._false) / FPS, 1),
            "walker_F": walks["F"],
            "walker_J": walks["J"],
        }


def _largest_share(found: np.ndarray) -> float:
    """Return the share of the frame of the largest region, without what is thinner than 3 px: single px are noise."""
    opened = cv2.morphologyEx(found.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(opened)
    return float(stats[1:, cv2.CC_STAT_AREA].max(initial=0)) / found.size


def _shots(data: Path, stretches: tuple[Stretch, ...], scene: tuple[int, int]) -> Callable[[], Iterator[Shot]]:
    def shots() -> Iterator[Shot]:
        rng = np.random.default_rng(scene[0])
        day, person = (_photograph(data, number, size) for number, size in zip(scene, _SIZES, strict=True))
        infrared = np.repeat(255 * (day[..., :1] / 255) ** 0.6 * 0.5 + 0.25 * day[..., 1:2], 3, axis=2)
        nothing = np.zeros((HEIGHT, WIDTH), bool)
        gain, stretch, count = np.ones(3), Stretch(0), 0
        for stretch in (Stretch(_LEARNED_FRAMES), *stretches):
            begin, end = np.array(stretch.begin), np.array(stretch.end or stretch.begin)
            for at in range(1, stretch.frames + 1):
                gain, count = begin + (end - begin) * at / stretch.frames, count + 1
                image = _lit(infrared if stretch.infrared else day, gain, stretch, rng)
                yield Shot(image, nothing, ~nothing if count > _LEARNED_FRAMES else None)
        for at in range(_WALK_FRAMES):
            image, moves = (infrared if stretch.infrared else day).copy(), nothing.copy()
            place = np.s_[60 : 60 + _PERSON_PX[1], 8 * at + 8 : 8 * at + 8 + _PERSON_PX[0]]
            image[place], moves[place] = person, True
            yield Shot(_lit(image, gain, stretch, rng), moves, ~nothing)

    return shots


_SIZES = ((WIDTH, HEIGHT), _PERSON_PX)


def _lit(image: np.ndarray, gain: np.ndarray, stretch: Stretch, rng: np.random.Generator) -> np.ndarray:
    noise = rng.normal(0, _NIGHT_SIGMA if stretch.infrared else _DAY_SIGMA, image.shape)
    return np.clip(image * gain + noise, 0, 255).astype(np.uint8)


def _photograph(data: Path, number: int, size: tuple[int, int]) -> np.ndarray:
    image = read_rgb(sorted((data / "textures").glob("*.jpg"))[number])
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32)
