"""Who and what moves in a rendered scene: where it is at each time, and how it is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import cv2
import numpy as np

Colors = tuple[tuple[int, int, int], tuple[int, int, int]]
"""RGB of an upper and a lower half."""
Kind = Literal["person", "car", "thing"]

_STRIDES_PER_HEIGHT = 0.9
"""How many double steps a person takes on the way of their own height."""


class Key(NamedTuple):
    """Where somebody is at a time; between two keys they go straight on."""

    seconds: float
    x_px: float
    """Of the middle."""
    foot_px: float
    """Row in which they touch the ground."""
    tall_px: float


@dataclass(frozen=True)
class Actor:
    """Somebody or something from its first key to its last."""

    keys: tuple[Key, ...]
    kind: Kind = "person"
    colors: Colors = ((200, 60, 50), (30, 40, 90))
    hidden: tuple[tuple[float, float], ...] = field(default=())
    """Spans of s in which it cannot be seen: in a car, in somebody's hand."""
    stays: bool = False
    """It is seen before its first key, and after its last one."""

    def at(self, seconds: float) -> Key | None:
        """Return where it is, None where it is not."""
        times = [key.seconds for key in self.keys]
        outside = not times[0] <= seconds <= times[-1]
        if (outside and not self.stays) or any(begin <= seconds < end for begin, end in self.hidden):
            return None
        return Key(seconds, *(float(np.interp(seconds, times, [key[part] for key in self.keys])) for part in (1, 2, 3)))

    def drawn(self, key: Key, origin: tuple[float, float], size: tuple[int, int]) -> Drawn:
        """Draw it, in a frame whose upper left corner is at `origin` in the world, px, and that has a width, height."""
        x, foot, tall = key.x_px - origin[0], key.foot_px - origin[1], key.tall_px
        reach = 1.3 * tall + 3 if self.kind == "car" else 0.5 * tall + 3
        left, top = max(0, int(x - reach)), max(0, int(foot - 1.1 * tall - 3))
        right, bottom = min(size[0], int(x + reach) + 1), min(size[1], int(foot + 4))
        place = (slice(top, max(top, bottom)), slice(left, max(left, right)))
        rows, columns = np.mgrid[place].astype(np.float32)
        covers = []
        for draw in _DRAWN[self.kind](x - left, foot - top, tall, key.x_px):
            cover = np.zeros(rows.shape, np.uint8)
            if cover.size:
                draw(cover)
            covers.append(cover.astype(np.float32)[..., None] / 255)
        upper, lower = covers
        # Folds and shading: what is drawn is not of one color.
        folds = 1 + 0.12 * np.sin((columns - x) * 40 / tall) * np.cos((rows - foot) * 30 / tall)
        first, second = (np.array(color, np.float32) for color in self.colors)
        colors = (second + (first - second) * upper) * folds[..., None]
        return Drawn(place, np.maximum(upper, lower)[..., 0], colors)


class Drawn(NamedTuple):
    """What is drawn of an actor."""

    place: tuple[slice, slice]
    """Rows and columns of the frame."""
    cover: np.ndarray
    """float32 (h, w): how much of each px it covers."""
    colors: np.ndarray
    """float32 (h, w, 3) RGB."""


Drawing = Callable[[np.ndarray], object]


def _person(x: float, foot: float, tall: float, way: float) -> tuple[Drawing, Drawing]:
    stride = 2 * np.pi * _STRIDES_PER_HEIGHT * way / tall
    swing = 0.17 * np.sin(stride)

    def at(across: float, up: float) -> tuple[int, int]:
        return round(16 * (x + across * tall)), round(16 * (foot - up * tall))

    def upper(cover: np.ndarray) -> None:
        cv2.ellipse(cover, at(0, 0.66), _half(0.13 * tall, 0.2 * tall), 0, 0, 360, 255, -1, cv2.LINE_AA, 4)
        cv2.circle(cover, at(0, 0.92), max(8, round(16 * 0.075 * tall)), 255, -1, cv2.LINE_AA, 4)
        for side in (-1, 1):
            _limb(cover, at(0.1 * side, 0.78), at(0.12 * side - 0.8 * side * swing, 0.5), 0.06 * tall)

    def lower(cover: np.ndarray) -> None:
        for side in (-1, 1):
            _limb(cover, at(0.04 * side, 0.5), at(side * swing, 0.03), 0.11 * tall)

    return upper, lower


def _car(x: float, foot: float, tall: float, way: float) -> tuple[Drawing, Drawing]:
    def box(across: tuple[float, float], up: tuple[float, float]) -> np.ndarray:
        corners = [(a, u) for a, u in ((across[0], up[0]), (across[1], up[0]), (across[1], up[1]), (across[0], up[1]))]
        points = [(16 * (x + a * tall), 16 * (foot - u * tall)) for a, u in corners]
        return np.rint(points).astype(np.int32)

    def upper(cover: np.ndarray) -> None:
        cv2.fillConvexPoly(cover, box((-0.6, 0.6), (0.5, 1.0)), 255, cv2.LINE_AA, 4)

    def lower(cover: np.ndarray) -> None:
        cv2.fillConvexPoly(cover, box((-1.2, 1.2), (0.15, 0.58)), 255, cv2.LINE_AA, 4)
        for side in (-1, 1):
            place = (round(16 * (x + 0.75 * side * tall)), round(16 * (foot - 0.16 * tall)))
            cv2.circle(cover, place, round(16 * 0.16 * tall), 255, -1, cv2.LINE_AA, 4)

    return upper, lower


def _thing(x: float, foot: float, tall: float, way: float) -> tuple[Drawing, Drawing]:
    def part(up: tuple[float, float]) -> Drawing:
        corners = ((-0.5, up[0]), (0.5, up[0]), (0.5, up[1]), (-0.5, up[1]))
        points = np.rint([(16 * (x + a * tall), 16 * (foot - u * tall)) for a, u in corners]).astype(np.int32)
        return lambda cover: cv2.fillConvexPoly(cover, points, 255, cv2.LINE_AA, 4)

    return part((0.5, 1.0)), part((0.0, 0.55))


_DRAWN = {"person": _person, "car": _car, "thing": _thing}


def _half(wide: float, high: float) -> tuple[int, int]:
    return max(8, round(16 * wide)), max(8, round(16 * high))


def _limb(cover: np.ndarray, begin: tuple[int, int], end: tuple[int, int], wide: float) -> None:
    cv2.line(cover, begin, end, 255, max(1, round(wide)), cv2.LINE_AA, 4)
