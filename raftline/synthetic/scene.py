"""The content of a scene: layers over each other, drawn at random. Nothing is rendered here.

The distributions were chosen by hand.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from raftline.synthetic.motion import Lengths, Matrix, Motion, draw_camera, draw_steady

Array = npt.NDArray[np.float64]
WAVES = 3
"""Plane waves in the bend of a layer. Chosen by hand."""
_STEEPEST = 0.3
"""Largest slope of a bend. Below 1 a layer does not fold; at 0.3 `render` inverts a bend in a few steps."""


@dataclass(frozen=True)
class SceneOptions:
    """How often things happen. Chosen by hand.

    Raises:
        ValueError: a value out of its range, naming it.
    """

    objects: int = 8
    """Largest number of objects, at least 1. Half of the scenes have three or fewer."""
    static: float = 0.12
    """Share of scenes in which nothing moves."""
    still_camera: float = 0.35
    shaken_camera: float = 0.2
    """The rest moves steadily."""
    no_motion: float = 0.2
    """Share of steady cameras, and of objects in scenes that are not static, that stand still."""
    small_motion: float = 0.35
    """Share of them that moves by 0.05 to 2 px per frame."""
    largest_motion: float = 0.25
    """Largest motion of the others, as a share of the width: of the camera, and of an object relative to it."""
    bending: float = 0.25
    """Share of layers that bend."""

    def __post_init__(self) -> None:
        if self.objects < 1:
            raise ValueError(f"objects: expected at least 1, found {self.objects}")
        for name, share in vars(self).items():
            if name != "objects" and not 0 <= share <= 1:
                raise ValueError(f"{name}: expected a share, 0 to 1; found {share}")
        for one, other in (("still_camera", "shaken_camera"), ("no_motion", "small_motion")):
            together = getattr(self, one) + getattr(self, other)
            if together > 1:
                raise ValueError(f"{one} + {other}: {together} is above 1")

    @property
    def lengths(self) -> Lengths:
        """Of steady motion."""
        return Lengths(self.no_motion, self.small_motion, self.largest_motion)


@dataclass(frozen=True)
class Bend:
    """material = c + amplitudes[t] @ sin(frequencies @ c + phases), c being px of the middle frame."""

    amplitudes: Array
    """(2, WAVES, 2) px, of the first and the third frame."""
    frequencies: Array
    """(WAVES, 2) rad/px."""
    phases: Array
    """(WAVES,) rad."""


@dataclass(frozen=True)
class Layer:
    """A textured plane. A point of it is known by where it is in the middle frame, in px, before it bends."""

    to_first: Matrix
    """(3, 3): px of the middle frame -> px of the first."""
    to_third: Matrix
    bend: Bend | None
    texture: int
    texture_map: Matrix
    """(2, 3): material px -> -1 to 1 over the tile."""
    color: Matrix
    """(3, 2): gain and offset of each channel."""
    shape: int
    shape_map: Matrix | None
    """(2, 3): material px -> -1 to 1 over the shape's map. None for the background, which is everywhere."""
    cell_px: float
    """Side of a cell of the shape's map, px."""


@dataclass(frozen=True)
class Scene:
    """Layers from back to front; the first is the background."""

    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Stock:
    """How many textures and shapes there are to draw from."""

    photographs: int
    textures: int
    """Photographs' tiles, which come first, and procedural ones."""
    shapes: int
    tile_px: int


def draw_scene(random: np.random.Generator, height: int, width: int, stock: Stock, options: SceneOptions) -> Scene:
    """Draw a scene of three frames of height x width px."""
    still = random.random() < options.static
    centre = ((width - 1) / 2, (height - 1) / 2)
    camera = Motion()
    if not still:
        camera = draw_camera(random, width, options.still_camera, options.shaken_camera, options.lengths)
    layers = [_background(random, centre, camera, stock, options, still)]
    for _ in range(1 + int(random.random() ** 1.5 * options.objects)):
        own = Motion() if still else draw_steady(random, width, options.lengths)
        layers.append(_object(random, height, width, camera, own, stock, options, still))
    return Scene(tuple(layers))


def _background(
    random: np.random.Generator,
    centre: tuple[float, float],
    camera: Motion,
    stock: Stock,
    options: SceneOptions,
    still: bool,
) -> Layer:
    texture, texture_map = _texture(random, stock)
    bend = None if still or not any(camera.first) else _bend(random, camera, 4 * centre[0], options)
    to_first, to_third = camera.first.homography(centre), camera.third.homography(centre)
    return Layer(to_first, to_third, bend, texture, texture_map, _color(random), 0, None, 1.0)


def _object(
    random: np.random.Generator,
    height: int,
    width: int,
    camera: Motion,
    own: Motion,
    stock: Stock,
    options: SceneOptions,
    still: bool,
) -> Layer:
    size_px = height * math.exp(random.uniform(math.log(0.12), math.log(1.2)))
    place = (random.uniform(-0.1, 1.1) * width, random.uniform(-0.1, 1.1) * height)
    nearness = 1.0 if random.random() < 0.5 else random.uniform(0.6, 1.8)
    middle = ((width - 1) / 2, (height - 1) / 2)
    to_first, to_third = (
        seen.times(nearness).homography(middle) @ moved.homography(place)
        for seen, moved in ((camera.first, own.first), (camera.third, own.third))
    )
    bend = None if still else _bend(random, own, 2 * size_px, options)
    texture, texture_map = _texture(random, stock)
    angle = random.uniform(0, 2 * math.pi)
    shape_map = _similarity(angle, 2 / size_px, place)
    shape = int(random.integers(stock.shapes))
    return Layer(to_first, to_third, bend, texture, texture_map, _color(random), shape, shape_map, size_px / 96)


def _bend(random: np.random.Generator, motion: Motion, longest_px: float, options: SceneOptions) -> Bend | None:
    if random.random() >= options.bending:
        return None
    directions = random.uniform(0, 2 * math.pi, WAVES)
    frequencies = 2 * math.pi / (longest_px * random.uniform(0.25, 1, WAVES))
    # As large as the layer's own motion, and never so steep that it folds.
    motion_px = max(1.0, math.hypot(motion.third.x_px, motion.third.y_px))
    steepness = np.minimum(_STEEPEST / WAVES, 0.5 * motion_px * frequencies) * random.uniform(0.2, 1, WAVES)
    heading = random.uniform(0, 2 * math.pi, WAVES)
    amplitudes = np.stack([np.cos(heading), np.sin(heading)], axis=1) * (steepness / frequencies)[:, None]
    again = -1 + random.normal(0, 0.2) if random.random() < 0.8 else 1.0
    waves = frequencies[:, None] * np.stack([np.cos(directions), np.sin(directions)], axis=1)
    return Bend(np.stack([amplitudes, again * amplitudes]), waves, random.uniform(0, 2 * math.pi, WAVES))


def _texture(random: np.random.Generator, stock: Stock) -> tuple[int, Matrix]:
    from_photographs = stock.photographs and random.random() < 0.75
    low, high = (0, stock.photographs) if from_photographs else (stock.photographs, stock.textures)
    if low == high:
        low, high = 0, stock.textures
    zoom = random.uniform(0.45, 1.05)  # tile px per frame px: above 1 a tile would be read with gaps
    angle = random.normal(0, 0.1) if random.random() < 0.6 else random.uniform(0, 2 * math.pi)
    half = stock.tile_px / 2
    away = tuple(random.uniform(-half, half, 2) / zoom)
    matrix = _similarity(angle, zoom / half, away)
    if random.random() < 0.5:
        matrix[0] *= -1
    return int(random.integers(low, high)), matrix


def _similarity(angle: float, scale: float, centre: tuple[float, ...]) -> Matrix:
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    turned = np.array([[cos, -sin], [sin, cos]])
    return np.concatenate([turned, -turned @ np.array(centre)[:, None]], axis=1)


def _color(random: np.random.Generator) -> Matrix:
    gain = random.uniform(0.7, 1.2) * random.uniform(0.9, 1.1, 3)
    offset = random.uniform(-20, 20) + 128 * (1 - gain) * random.random()
    return np.stack([gain, offset], axis=1)
