"""Large things that move by themselves before a shaken background: people who walk through, cars that sweep to and fro.

Lengths are shares of the frame's width (x) and height (y), so that a clip of any size shows the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

Path2 = Callable[[float], tuple[float, float]]
"""Time, s, to the place of a thing's middle: shares of the frame from its left and its top."""
_PLAIN_SHADE = 14.0
"""Grey levels by which a plain thing is darker at its left than at its right: cloth or paint in light from aside."""
_STEP_HZ = 1.9
"""Of a walker, whose head goes up and down with each step."""
_STEP_SHARE = 0.006
"""By this share of the height."""
KINDS = (
    "sweep", "plain_sweep", "wide_sweep", "stop_and_go", "walker_left", "walker_right", "plain_walker", "two_people",
)  # fmt: skip


@dataclass(frozen=True)
class Mover:
    """A thing of constant size."""

    width: float
    """Share of the frame's width."""
    height: float
    """Share of the frame's height."""
    path: Path2
    plain: bool
    """It has one color with a little shade; else it shows a photograph."""
    round: bool
    """Its outline is an ellipse's upper half and a box below, about a person's; else a box."""


def movers_of(kind: str, seconds: float, seed: int = 0) -> list[Mover]:
    """Draw the things of a clip of `seconds`; the same seed draws the same.

    Raises:
        ValueError: The kind is not among `KINDS`.
    """
    if kind not in KINDS:
        raise ValueError(f"kind: expected one of {', '.join(KINDS)}, found {kind!r}")
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    if "sweep" in kind:
        width = rng.uniform(0.75, 0.85) if kind == "wide_sweep" else rng.uniform(0.5, 0.7)
        hz, reach = rng.uniform(0.25, 0.6), rng.uniform(0.18, 0.3)
        return [Mover(width, 0.85, _sine(hz, reach, rng.uniform(0, 2 * np.pi), 0.55), kind.startswith("plain"), False)]
    if kind == "stop_and_go":
        return [Mover(rng.uniform(0.5, 0.65), 0.9, _stop_and_go(seconds, rng), False, False)]
    if kind == "two_people":
        return [
            Mover(rng.uniform(0.3, 0.38), 0.92, _walk(seconds, way, rng.uniform(0, 0.15)), plain, True)
            for way, plain in ((1, False), (-1, True))
        ]
    way = -1 if kind == "walker_right" else 1
    return [Mover(rng.uniform(0.4, 0.5), 0.95, _walk(seconds, way, rng.uniform(0.05, 0.15)), "plain" in kind, True)]


def with_movers(
    image: np.ndarray,
    movers: list[Mover],
    photograph: np.ndarray,
    time: float,
    to_frame: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Draw things over a frame.

    Args:
        image: (H, W, 3) what is behind.
        movers: The things.
        photograph: uint8 (h, w, 3): what those show that are not plain.
        time: Time of the frame, s.
        to_frame: Takes the transform (3, 3) from a thing's picture to the frame without shake to that with shake.
    """
    height, width = image.shape[:2]
    for at, mover in enumerate(movers):
        size = (round(mover.width * width), round(mover.height * height))
        x, y = mover.path(time)
        placed = np.array([[1.0, 0.0, x * width - size[0] / 2], [0.0, 1.0, y * height - size[1] / 2], [0, 0, 1.0]])
        matrix = to_frame(placed)
        picture = _plain(size) if mover.plain else _cut_out(photograph, size, at)
        cover = cv2.warpPerspective(_outline(size, mover.round), matrix, (width, height))[..., None]
        moved = cv2.warpPerspective(picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        image = image * (1 - cover) + moved * cover
    return image


def _sine(hz: float, reach: float, phase: float, y: float) -> Path2:
    return lambda time: (0.5 + reach * np.sin(2 * np.pi * hz * time + phase), y)


def _walk(seconds: float, way: int, begins: float) -> Path2:
    """Walk through the whole frame, from outside to outside, between 10 and 90 % of the clip."""
    first, last = (0.1 + begins) * seconds, 0.92 * seconds

    def path(time: float) -> tuple[float, float]:
        along = (time - first) / (last - first)
        bounce = _STEP_SHARE * np.sin(2 * np.pi * _STEP_HZ * time)
        return 0.5 + way * (along - 0.5) * 1.6, 0.54 + float(bounce)

    return path


def _stop_and_go(seconds: float, rng: np.random.Generator) -> Path2:
    """Go and stand by turns, each for 0.3 to 0.9 s, to and fro."""
    times, places, goal = [0.0], [float(rng.uniform(0.3, 0.7))], 0.5
    while times[-1] < seconds:
        goal = rng.uniform(0.65, 0.85) if goal < 0.5 else rng.uniform(0.15, 0.35)
        for going in (True, False):
            times.append(times[-1] + float(rng.uniform(0.3, 0.9)))
            places.append(float(goal) if going else places[-1])
    return lambda time: (float(np.interp(time, times, places)), 0.54)


def _outline(size: tuple[int, int], rounded: bool) -> np.ndarray:
    width, height = size
    mask = np.ones((height, width), np.float32)
    if rounded:
        mask[:] = 0
        cv2.ellipse(mask, (width // 2, width // 2), (width // 2, width // 2), 0, 0, 360, [1.0], -1)
        mask[width // 2 :] = 1
    return mask


def _plain(size: tuple[int, int]) -> np.ndarray:
    shade = np.linspace(0.0, _PLAIN_SHADE, size[0], dtype=np.float32)[None, :, None]
    return np.full((size[1], size[0], 3), (62, 48, 40), np.float32) + shade


def _cut_out(photograph: np.ndarray, size: tuple[int, int], at: int) -> np.ndarray:
    rows, columns = photograph.shape[:2]
    scale = max(1.0, size[0] / columns, size[1] / rows) * 1.02
    large = cv2.resize(photograph, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    left = (large.shape[1] - size[0]) * (at % 2)
    return large[large.shape[0] - size[1] :, left : left + size[0]].astype(np.float32)
