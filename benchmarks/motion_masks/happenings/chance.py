"""What a seed decides of a scene: who walks where, how large, how fast and in which colors."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from benchmarks.motion_masks.happenings.actors import Actor, Colors, Key
from benchmarks.motion_masks.happenings.scenes import SIZE, Scene

AFTER_SECONDS = 3.0
"""Of each scene after everything: longer than the pause that ends an event."""
_PHOTOGRAPHS = (0, 5, 6, 11, 13, 14, 15, 17, 19, 20, 23)
_WIDE, _HIGH = SIZE


class Chance:
    """What a seed decides."""

    def __init__(self, family: str, seed: int) -> None:
        self.rng = np.random.default_rng([seed, *family.encode()])

    def box(self, top: tuple[int, int], wide: tuple[int, int], high: tuple[int, int]) -> tuple[int, int, int, int]:
        """x, y, width, height of a place somewhere along the frame, px, each between a least and a most."""
        x, y, across, down = (int(self.between(*each)) for each in ((10, 240), top, wide, high))
        return x, y, across, down

    def between(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def ahead(self) -> int:
        """1: to the right, -1: to the left."""
        return 1 if self.rng.random() < 0.5 else -1

    def colors(self) -> Colors:
        """RGB of an upper and a lower half."""
        upper, lower = self.rng.uniform(0, 1, (2, 3))
        # One half is bright, the other dark: on no background both vanish.
        above = self.rng.random() < 0.5
        first = 140 + 100 * upper if above else 20 + 70 * upper
        second = 20 + 60 * lower if above else 110 + 110 * lower
        (a, b, c), (d, e, f) = first.astype(int).tolist(), second.astype(int).tolist()
        return (a, b, c), (d, e, f)

    def number(self) -> int:
        """A seed for something else."""
        return int(self.rng.integers(1 << 30))

    def person(self, tall: tuple[float, float] = (32, 70)) -> Person:
        high = self.between(*tall)
        speed = self.between(0.8, 1.4) * max(high, 35.0)
        return Person(high, self.between(max(high, 0.55 * _HIGH) + 8, _HIGH - 4), speed, self.colors())

    def scene(self, actors: tuple[Actor, ...], seconds: float | None = None, **more: object) -> Scene:
        ends = max((actor.keys[-1].seconds for actor in actors if not actor.stays), default=8.0)
        photograph = int(self.rng.choice(_PHOTOGRAPHS))
        made = Scene(
            seconds or ends + AFTER_SECONDS, actors, photograph,
            noise=self.between(1.5, 4.0), seed=self.number(),
        )  # fmt: skip
        return replace(made, **more)  # pyright: ignore[reportArgumentType]


class Person:
    """Somebody's size, row, speed and colors."""

    def __init__(self, tall: float, foot: float, speed: float, colors: Colors) -> None:
        self.tall, self.foot, self.speed, self.colors = tall, foot, speed, colors

    def way(self, begin: float, places: list[float], waits: list[float] | None = None) -> tuple[Key, ...]:
        """Go from place to place, px, and wait there, s; the first is where the way begins."""
        keys, seconds = [Key(begin, places[0], self.foot, self.tall)], begin
        for at, (was, to) in enumerate(pairwise(places)):
            seconds += abs(to - was) / self.speed
            keys.append(Key(seconds, to, self.foot, self.tall))
            wait = waits[at] if waits and at < len(waits) else 0.0
            if wait:
                seconds += wait
                keys.append(Key(seconds, to, self.foot, self.tall))
        return tuple(keys)

    def outside(self, ahead: int) -> float:
        """Where they are just out of sight, before they go ahead (1) to the right, or (-1) to the left."""
        return -0.4 * self.tall if ahead > 0 else _WIDE + 0.4 * self.tall

    def walks(self, begin: float, places: list[float], waits: list[float] | None = None) -> Actor:
        return Actor(self.way(begin, places, waits), colors=self.colors)

    def through(self, begin: float, ahead: int) -> Actor:
        return self.walks(begin, [self.outside(ahead), self.outside(-ahead)])
