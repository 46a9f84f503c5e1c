"""Families of scenes: each makes another one from each seed, by size, speed, contrast, direction and place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from benchmarks.motion_masks.happenings import effects
from benchmarks.motion_masks.happenings.actors import Actor, Key
from benchmarks.motion_masks.happenings.chance import AFTER_SECONDS, Chance, Person
from benchmarks.motion_masks.happenings.scenes import FPS, SIZE, Scene

_WIDE, _HIGH = SIZE


def _begin(chance: Chance) -> float:
    return chance.between(1.6, 3.0)


def walks(chance: Chance) -> Scene:
    """Somebody walks through."""
    return chance.scene((chance.person().through(_begin(chance), chance.ahead()),))


def crossing(chance: Chance) -> Scene:
    """Two walk towards each other; one hides the other."""
    one, other, begin, ahead = chance.person(), chance.person(), _begin(chance), chance.ahead()
    other.foot = one.foot + chance.between(-6, 6)
    return chance.scene((one.through(begin, ahead), other.through(begin + chance.between(0, 1), -ahead)))


def pillar(chance: Chance) -> Scene:
    """Somebody walks behind a pillar and comes out on the other side."""
    wide, left = chance.between(20, 70), chance.between(90, 180)
    return chance.scene((chance.person().through(_begin(chance), chance.ahead()),), pillar=(left, left + wide))


def pauses(chance: Chance) -> Scene:
    """Somebody stands twice on the way, for about as long as objects are held, or events merged."""
    person, ahead = chance.person(), chance.ahead()
    places = [person.outside(ahead), chance.between(70, 130), chance.between(170, 250), person.outside(-ahead)]
    places = places if ahead > 0 else [places[0], places[2], places[1], places[3]]
    waits = [float(chance.rng.choice([0.5, 0.9, 1.5, 2.6, 3.2])) for _ in range(2)]
    return chance.scene((person.walks(_begin(chance), places, waits),))


def turns_back(chance: Chance) -> Scene:
    """Somebody comes in, turns and goes out where they came in."""
    person, ahead = chance.person(), chance.ahead()
    turn = chance.between(90, 230)
    return chance.scene((person.walks(_begin(chance), [person.outside(ahead), turn, person.outside(ahead)], [0.2]),))


def two_at_once(chance: Chance) -> Scene:
    """Two come in at the same moment, from both sides or one behind the other, and go before they meet or after."""
    begin, ahead = _begin(chance), chance.ahead()
    one, other = chance.person((30, 50)), chance.person((30, 50))
    same = chance.rng.random() < 0.5
    one.foot, other.foot = chance.between(90, 110), chance.between(160, 176)
    return chance.scene((one.through(begin, ahead), other.through(begin, ahead if same else -ahead)))


def border(chance: Chance) -> Scene:
    """Somebody leaves at the border and comes back after a while."""
    person, ahead = chance.person(), chance.ahead()
    away = float(chance.rng.choice([1.0, 3.5]))
    places = [person.outside(ahead), person.outside(-ahead), person.outside(ahead)]
    return chance.scene((person.walks(_begin(chance), places, [away]),))


def car_stops(chance: Chance) -> Scene:
    """A car stops; after a while somebody gets out and walks away."""
    tall, foot, ahead, begin = chance.between(30, 46), chance.between(120, 165), chance.ahead(), _begin(chance)
    stop, speed = chance.between(120, 200), chance.between(70, 130)
    start = -1.3 * tall if ahead > 0 else _WIDE + 1.3 * tall
    arrives = begin + abs(stop - start) / speed
    brakes = [Key(begin, start, foot, tall), Key(arrives, stop, foot, tall), Key(arrives + 60, stop, foot, tall)]
    car = Actor(tuple(brakes), "car", chance.colors(), stays=False)
    person = chance.person((1.1 * tall, 1.4 * tall))
    person.foot = foot - 3
    gets_out = arrives + float(chance.rng.choice([0.8, 1.4, 3.0]))
    out = person.walks(gets_out, [stop, person.outside(-chance.ahead())])
    return chance.scene((out, car), out.keys[-1].seconds + AFTER_SECONDS)


def put_down(chance: Chance) -> Scene:
    """Somebody puts something down, which stays, and walks on."""
    return _with_thing(chance, lambda moved: (-1.0, moved))


def carried_away(chance: Chance) -> Scene:
    """Somebody takes with them what has stood there all the time."""
    return _with_thing(chance, lambda moved: (moved, 1e9))


def _with_thing(chance: Chance, hidden: Callable[[float], tuple[float, float]]) -> Scene:
    """Somebody stops at a thing, which is `hidden` from and to these seconds, by that in which it is put or taken."""
    person, ahead = chance.person((45, 70)), chance.ahead()
    place = chance.between(100, 220)
    walker = person.walks(_begin(chance), [person.outside(ahead), place, person.outside(-ahead)], [1.0])
    thing = _thing_of(chance, person, place - 0.2 * person.tall * ahead)
    moved = walker.keys[1].seconds + 0.5
    return chance.scene((replace(thing, hidden=(hidden(moved),)), walker), walker.keys[-1].seconds + 6)


def _thing_of(chance: Chance, person: Person, place: float) -> Actor:
    key = Key(0.0, place, person.foot - 2, chance.between(0.25, 0.4) * person.tall)
    return Actor((key,), "thing", chance.colors(), stays=True)


def approach(chance: Chance) -> Scene:
    """Somebody comes slowly towards the camera, and grows."""
    begin, takes, x = _begin(chance), chance.between(5, 9), chance.between(60, 260)
    tall = (chance.between(20, 28), chance.between(70, 120))
    first = Key(begin, x - 30 * chance.ahead(), chance.between(70, 90), tall[0])
    last = Key(begin + takes, x, chance.between(168, 178), tall[1])
    away = Key(last.seconds + 2.2, x + (_WIDE + 80 - x if chance.ahead() > 0 else -x - 80), last.foot_px, last.tall_px)
    # Somebody who comes out of a door: seen from where the way begins.
    return chance.scene((Actor((first, last, away), colors=chance.colors()),))


def far(chance: Chance) -> Scene:
    """Somebody small and far, 16 to 22 px tall."""
    tall = chance.between(16, 22)
    person = Person(tall, chance.between(80, 150), chance.between(14, 26), chance.colors())
    return chance.scene((person.through(_begin(chance), chance.ahead()),))


def quick(chance: Chance) -> Scene:
    """Something crosses the frame in some five to seven frames."""
    tall, foot, ahead, begin = chance.between(30, 50), chance.between(110, 170), chance.ahead(), _begin(chance)
    seconds = chance.between(5, 7) / FPS
    start, end = (-1.2 * tall, _WIDE + 1.2 * tall)[::ahead]
    keys = (Key(begin, start, foot, tall), Key(begin + seconds, end, foot, tall))
    return chance.scene((Actor(keys, "car", chance.colors()),))


def night(chance: Chance) -> Scene:
    """Little light and much noise."""
    return replace(walks(chance), light=chance.between(0.25, 0.5), noise=chance.between(6, 12))


def low_bit_rate(chance: Chance) -> Scene:
    """Coded with so few bits that it shows."""
    return replace(walks(chance), bit_rate=int(chance.between(50_000, 120_000)))


def leaves(chance: Chance) -> Scene:
    """Leaves sway all the time beside somebody who walks."""
    box = (int(chance.between(0, 160)), 0, int(chance.between(90, 150)), int(chance.between(50, 80)))
    sway = effects.leaves(box, chance.between(1.0, 2.5), chance.between(0.4, 1.2))
    return replace(walks(chance), backdrops=(sway,))


def rain(chance: Chance) -> Scene:
    """Rain before everything."""
    return replace(walks(chance), effects=(effects.rain(int(chance.between(40, 150)), int(chance.between(6, 20))),))


def snow(chance: Chance) -> Scene:
    """Snow before everything."""
    falls = effects.snow(int(chance.between(60, 250)), chance.between(25, 70), chance.number())
    return replace(walks(chance), effects=(falls,))


def cloud(chance: Chance) -> Scene:
    """The shadow of a cloud crosses; later somebody walks."""
    begin = chance.between(1.8, 2.5)
    speed = chance.between(50, 140)
    shade = effects.cloud(
        begin, chance.ahead() * speed, chance.between(100, 300), chance.between(40, 120), chance.between(0.25, 0.5)
    )
    later = chance.person().through(begin + 9.0, chance.ahead())
    return chance.scene((later,), effects=(shade,))


def headlights(chance: Chance) -> Scene:
    """Headlights sweep over a wall by night; later somebody walks."""
    begin = chance.between(1.8, 2.5)
    takes, row, size = chance.between(1.2, 3.0), chance.between(50, 120), chance.between(16, 40)
    lights = effects.headlights(begin, takes, row, size, chance.between(0.6, 2.0), chance.ahead())
    later = chance.person().through(begin + 6.0, chance.ahead())
    return chance.scene((later,), effects=(lights,), light=0.5, noise=chance.between(3, 6))


def television(chance: Chance) -> Scene:
    """A television plays all the time; somebody walks."""
    box = chance.box((5, 40), (30, 60), (20, 40))
    return replace(_later(chance), backdrops=(effects.screen(box, chance.number()),))


def flag(chance: Chance) -> Scene:
    """A flag waves all the time; somebody walks."""
    box = chance.box((15, 40), (30, 60), (18, 32))
    return replace(_later(chance), backdrops=(effects.flag(box, chance.between(0.6, 1.5)),))


def _later(chance: Chance) -> Scene:
    return chance.scene((chance.person().through(chance.between(13, 14), chance.ahead()),), learned_seconds=9.0)


def rate_1(chance: Chance) -> Scene:
    """One frame a second; somebody slow."""
    person = chance.person()
    person.speed = chance.between(12, 25)
    return _at_rate(chance.scene((person.through(5.0, chance.ahead()),)), 1)


def rate_5(chance: Chance) -> Scene:
    """Five frames a second."""
    return _at_rate(walks(chance), 5)


def rate_30(chance: Chance) -> Scene:
    """Thirty frames a second."""
    return _at_rate(walks(chance), 30)


def rate_varies(chance: Chance) -> Scene:
    """Frames come after 1/30 to 1/4 s, by chance."""
    scene = walks(chance)
    times = np.cumsum(chance.rng.choice([1 / 30, 1 / 15, 1 / 10, 1 / 4], int(scene.seconds * 10)))
    return replace(scene, times=tuple(times[times < scene.seconds].tolist()))


def _at_rate(scene: Scene, fps: int) -> Scene:
    return replace(scene, times=tuple(np.arange(0, scene.seconds, 1 / fps).tolist()))


def wind(chance: Chance) -> Scene:
    """The camera's pole sways in the wind, by 1 to 4 px, 0.5 to 2 times a second."""
    far_px, hertz, phase = chance.between(1, 4), chance.between(0.5, 2), chance.between(0, 6)

    def camera(seconds: float) -> tuple[float, float]:
        gust = far_px * (0.5 + 0.5 * np.sin(0.7 * seconds + phase))
        turn = 2 * np.pi * hertz * seconds
        return 10 + gust * float(np.sin(turn)), 8 + 0.5 * gust * float(np.sin(1.3 * turn + 1))

    scene = walks(chance)
    return replace(scene, camera=camera, world=(_WIDE + 20, _HIGH + 16))


def turned_camera(chance: Chance) -> Scene:
    """Somebody walks; the camera is turned to another view; there somebody else walks."""
    one, other = chance.person(), chance.person()
    first = one.through(_begin(chance), chance.ahead())
    turns, takes, far_px = first.keys[-1].seconds + 3.0, chance.between(0.8, 2.0), 260.0

    def camera(seconds: float) -> tuple[float, float]:
        share = float(np.clip((seconds - turns) / takes, 0, 1))
        return far_px * share * share * (3 - 2 * share), 0.0

    second = other.through(turns + takes + 4.0, chance.ahead())
    moved = tuple(key._replace(x_px=key.x_px + far_px) for key in second.keys)
    return chance.scene((first, replace(second, keys=moved)), camera=camera, world=(_WIDE + 260, _HIGH))


def low_contrast(chance: Chance) -> Scene:
    """Somebody in grey, by a tenth brighter or darker than most photographs."""
    level = int(chance.between(70, 130))
    gray = (level, level, level), (level - 12, level - 12, level - 10)
    person = chance.person()
    person.colors = gray
    return chance.scene((person.through(_begin(chance), chance.ahead()),))


def nothing(chance: Chance) -> Scene:
    """Noise alone."""
    return replace(chance.scene((), 10.0), noise=chance.between(2, 10), bit_rate=int(chance.between(60_000, 300_000)))


Family = Callable[[Chance], Scene]
FAMILIES: dict[str, Family] = {
    family.__name__.replace("_", " "): family
    for family in (
        walks, crossing, pillar, pauses, turns_back, two_at_once, border, car_stops, put_down, carried_away, approach,
        far, quick, night, low_bit_rate, low_contrast, leaves, rain, snow, cloud, headlights, television, flag, rate_1,
        rate_5, rate_30, rate_varies, wind, turned_camera, nothing,
    )
}  # fmt: skip


def scene_of(family: str, seed: int) -> Scene:
    """The scene of a family that a seed makes."""
    return FAMILIES[family](Chance(family, seed))
