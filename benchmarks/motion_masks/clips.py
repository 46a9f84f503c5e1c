"""Clips whose moving pixels are known: sprites over photographs, highway (CDnet), tennis (DAVIS)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

WIDTH, HEIGHT = 640, 360
SPRITE_FRAMES = 100
_LEARNED_FRAMES = 20
"""Not scored: models of the background learn it in them."""
_NOISE_SIGMA = 2.0
"""Grey levels: a good camera by day."""
_WORLD_WIDTH = 1100
"""px: room for a pan of 2 px over all frames, and shake."""
_HIGHWAY_SCORED_FROM = 470
"""First frame of CDnet 2014's temporal region of interest for this clip."""
_OUTSIDE, _UNKNOWN, _MOVES = 85, 170, 255
"""Values of CDnet's ground truth."""

Camera = Literal["fixed", "jitter", "pan"]


@dataclass(frozen=True)
class Shot:
    """One frame of a clip with its truth."""

    image: np.ndarray
    """uint8 (H, W, 3) RGB."""
    moves: np.ndarray
    """bool (H, W)."""
    scored: np.ndarray | None
    """bool (H, W), the pixels that count; None: the frame is not scored."""


@dataclass(frozen=True)
class Clip:
    """A clip and its rate."""

    name: str
    fps: int
    shots: Callable[[], Iterator[Shot]]
    loose: bool = False
    """Its truth is drawn outside of the image's edges, as those for filling in what is cut out are."""


@dataclass(frozen=True)
class _Sprite:
    half: tuple[int, int]
    """Half axes of the ellipse, px."""
    start: tuple[float, float]
    """Centre in the first frame, px."""
    velocity: tuple[float, float]
    """px a frame; it bounces off the rim."""
    degrees: float
    """Turn of the ellipse."""
    patch: tuple[int, int]
    """Where in the photograph its texture is taken, px."""


_SPRITES = (
    _Sprite((60, 45), (80, 100), (3.0, 1.0), 0, (0, 0)),
    _Sprite((50, 64), (500, 80), (-4.0, 1.5), 20, (37, 10)),
    _Sprite((30, 30), (300, 300), (5.0, -2.0), 40, (74, 20)),
)


def sprite_clip(data: Path, scene: int, camera: Camera) -> Clip:
    """Ellipses with a photograph's texture over another photograph, noise of sigma 2.

    The camera stands (``fixed``), shakes by sigma 2 px along each axis (``jitter``), or pans 2 px a frame (``pan``).
    """
    return Clip(f"sprites{scene}_{camera}", 30, lambda: _sprite_shots(data, scene, camera))


def highway_clip(data: Path) -> Clip:
    """CDnet 2014 baseline/highway; scored from frame 470 inside its region, without what is marked unknown."""
    return Clip("highway", 25, lambda: _highway_shots(data / "masks" / "highway"))


def tennis_clip(data: Path) -> Clip:
    """DAVIS tennis: the camera follows the player. The truth is ProPainter's: wider, and with his shadow."""
    return Clip("tennis", 24, lambda: _tennis_shots(data / "masks"), loose=True)


def _sprite_shots(data: Path, scene: int, camera: Camera) -> Iterator[Shot]:
    rng = np.random.default_rng(scene)
    photographs = sorted((data / "textures").glob("*.jpg"))
    world = _photograph(photographs[4 + 3 * scene], _WORLD_WIDTH)
    texture = _photograph(photographs[7 + 4 * scene], 400)
    margin = ((world.shape[1] - WIDTH) / 2, (world.shape[0] - HEIGHT) / 2)
    for at in range(SPRITE_FRAMES):
        shift = {"fixed": (0.0, 0.0), "jitter": rng.normal(0, 2, 2), "pan": (2.0 * at - SPRITE_FRAMES, 0.0)}[camera]
        image = _shifted(world, -margin[0] - shift[0], -margin[1] - shift[1])
        moves = np.zeros((HEIGHT, WIDTH), np.uint8)
        for sprite in _SPRITES:
            drawn, x, y = _sprite_at(sprite, at, shift)
            offset = (x - 200 + sprite.patch[0], y - texture.shape[0] / 2 + sprite.patch[1])
            image[drawn > 0] = _shifted(texture, *offset)[drawn > 0]
            moves |= drawn
        noisy = np.clip(image + rng.normal(0, _NOISE_SIGMA, image.shape), 0, 255).astype(np.uint8)
        yield Shot(noisy, moves > 0, np.ones(moves.shape, bool) if at >= _LEARNED_FRAMES else None)


def _sprite_at(sprite: _Sprite, at: int, shift: tuple[float, float]) -> tuple[np.ndarray, float, float]:
    x = _bounced(sprite.start[0] + sprite.velocity[0] * at, 50, WIDTH - 50) - shift[0]
    y = _bounced(sprite.start[1] + sprite.velocity[1] * at, 40, HEIGHT - 40) - shift[1]
    drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
    centre, half = (round(x * 16), round(y * 16)), (16 * sprite.half[0], 16 * sprite.half[1])
    cv2.ellipse(drawn, centre, half, sprite.degrees, 0, 360, 1, -1, cv2.LINE_8, 4)
    return drawn, x, y


def _bounced(value: float, low: float, high: float) -> float:
    phase = (value - low) % (2 * (high - low))
    return low + min(phase, 2 * (high - low) - phase)


def _shifted(image: np.ndarray, x: float, y: float) -> np.ndarray:
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float64)
    return cv2.warpAffine(image, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def _photograph(path: Path, width: int) -> np.ndarray:
    image = read_rgb(path)
    size = (width, round(image.shape[0] * width / image.shape[1]))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _highway_shots(folder: Path) -> Iterator[Shot]:
    region = read_gray(folder / "ROI.bmp") > 0
    for path in sorted((folder / "input").glob("*.jpg")):
        number = int(path.stem[2:])
        truth = read_gray(folder / "groundtruth" / f"gt{number:06d}.png")
        known = region & (truth != _OUTSIDE) & (truth != _UNKNOWN)
        yield Shot(read_rgb(path), truth == _MOVES, known if number >= _HIGHWAY_SCORED_FROM else None)


def _tennis_shots(folder: Path) -> Iterator[Shot]:
    for at, path in enumerate(sorted((folder / "tennis").glob("*.png"))):
        truth = read_gray(folder / "tennis_mask" / path.name) > 0
        # DAVIS leaves out the first and last frame of each clip.
        yield Shot(read_rgb(path), truth, np.ones(truth.shape, bool) if 0 < at < 69 else None)


def read_rgb(path: Path) -> np.ndarray:
    """Read an image file as uint8 (H, W, 3) RGB. Raises FileNotFoundError if it is missing or no image."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise FileNotFoundError(f"{path} is no image")
    return np.ascontiguousarray(image[..., ::-1])


def read_gray(path: Path) -> np.ndarray:
    """Read an image file as uint8 (H, W). Raises FileNotFoundError if it is missing or no image."""
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise FileNotFoundError(f"{path} is no image")
    return np.asarray(image, np.uint8)
