"""Rendered scenes of a camera that follows somebody through depth: ground, trees near and far, and the truth.

The camera goes sideways with a rider who stays nearly in place in the frame while everything else passes by, each the
faster the nearer it is, some of it in front of the rider. No single plane explains such a frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.motion_masks.clips import Clip, Shot, read_rgb

_FRAMES, _FPS = 60, 24
_FAR, _NEAREST, _GRAIN = 0.15, 1.7, 0.18
"""Nearness of the horizon's picture and of the nearest tree, where the rider's is 1; contrast of grass and leaves."""


@dataclass(frozen=True)
class FollowingScene:
    """How a scene is made. Lengths are shares of the frame's height, speeds px a frame at the rider's depth."""

    size: tuple[int, int] = (432, 240)
    """Width, height, px."""
    photographs: tuple[int, int, int] = (20, 2, 7)
    """Of the horizon, the ground and the trees, and the rider, by number in the data's folder."""
    speed_px: float = 5.0
    """Of the rider; negative: to the left."""
    turns: float = 0.8
    """Share of that which the camera follows by turning, which shifts all depths alike; the rest it goes along."""
    height: float = 0.3
    """Of the rider."""
    wanders: float = 0.15
    """Share of the width by which the rider goes to and fro in the frame: nobody follows exactly."""
    trees: int = 8
    """In all, from the horizon to in front of the rider."""
    horizon: float = 0.4
    """Row of the horizon."""
    rider_row: float = 0.8
    """Row in which the rider's wheels touch the ground."""
    jump: float = 0.1
    """Height of the jumps."""
    shake_px: float = 0.4
    """Sigma of the camera's own shake along each axis."""
    shadow: float = 0.0
    """Share of the light that the rider takes from the ground below; no part of the truth."""
    noise: float = 2.0
    """Sigma, grey levels."""
    light: float = 1.0
    """Gain of all that is seen."""
    seed: int = 0


FOLLOWING_SCENES = {
    "park": FollowingScene(),
    "small": FollowingScene(height=0.2, speed_px=4.0, turns=0.9, photographs=(5, 14, 8), seed=1, rider_row=0.75),
    "left": FollowingScene(speed_px=-6.0, turns=0.6, photographs=(11, 15, 17), seed=2, trees=12, shadow=0.4),
    "dusk": FollowingScene(speed_px=4.0, photographs=(14, 11, 19), seed=3, light=0.5, noise=4.0, height=0.25),
    "wood": FollowingScene(size=(640, 360), speed_px=6.0, turns=0.5, photographs=(2, 20, 1), seed=4, trees=16),
    "open": FollowingScene(size=(640, 360), speed_px=-4.0, turns=0.0, photographs=(13, 17, 11), seed=5, trees=2),
}
"""Masks were tuned on each of them in some respect: docs/benchmarks.md says on which in which."""


def following_clip(data: Path, name: str) -> Clip:
    """A scene of `FOLLOWING_SCENES`."""
    return Clip(f"following_{name}", _FPS, lambda: _shots(data, FOLLOWING_SCENES[name]))


def _shots(data: Path, scene: FollowingScene) -> Iterator[Shot]:
    world = _World(data, scene)
    for at in range(_FRAMES):
        image, moves = world.frame(at)
        # The first frames have no motion before them to be told by.
        yield Shot(image, moves, np.ones(moves.shape, bool) if 0 < at < _FRAMES - 1 else None)


@dataclass(frozen=True)
class _Tree:
    nearness: float
    x_px: float
    width_px: float


class _World:
    def __init__(self, data: Path, scene: FollowingScene) -> None:
        self._scene, (self._width, self._height) = scene, scene.size
        self._rng = np.random.default_rng(scene.seed)
        photographs = sorted((data / "textures").glob("*.jpg"))
        travel = int(abs(scene.speed_px) * _FRAMES + self._width)
        far, near, rider = (read_rgb(photographs[number]) for number in scene.photographs)
        self._far = self._grained(_tiled(far, travel, self._height))
        self._ground = self._grained(_tiled(near[near.shape[0] // 2 :], 3 * travel, self._height))
        self._leaves = self._grained(_tiled(near[::-1], 2 * self._width, self._height))
        self._cloth = _tiled(rider, 200, 200)
        self._trees = sorted(self._tree(at, travel) for at in range(scene.trees))
        self._shake = self._rng.normal(0, scene.shake_px, (_FRAMES, 2))

    def _grained(self, plane: np.ndarray) -> np.ndarray:
        """A plane with the fine texture of grass and leaves, which photographs lose when they are shrunk."""
        grain = cv2.GaussianBlur(self._rng.standard_normal(plane.shape[:2], np.float32), (0, 0), 1.2)
        return np.clip(plane * (1 + _GRAIN / grain.std() * grain)[..., None], 0, 255).astype(np.uint8)

    def _shift(self, nearness: float) -> float:
        """What passes by in a frame at some nearness, as a share of the rider's speed."""
        return self._scene.turns + (1 - self._scene.turns) * nearness

    def _tree(self, at: int, travel: int) -> tuple[float, _Tree]:
        share = (at + 0.5) / self._scene.trees
        nearness = _FAR + 0.1 + (_NEAREST - _FAR - 0.1) * share
        # Where the camera will have gone, so that each is seen at some time.
        to_right = self._scene.speed_px > 0
        x = self._rng.uniform(0, 1) * (travel * self._shift(nearness) - 0.2 * self._width) * (1 if to_right else -1)
        x += self._width * (0.1 if to_right else 0.9)
        return nearness, _Tree(nearness, float(x), self._rng.uniform(0.04, 0.1) * self._height * (0.5 + nearness))

    def frame(self, at: int) -> tuple[np.ndarray, np.ndarray]:
        """uint8 (H, W, 3) RGB, and bool (H, W): what is seen of the rider."""
        scene = self._scene
        camera = scene.speed_px * at
        image = self._backdrop(camera, self._shake[at])
        moves = np.zeros((self._height, self._width), np.float32)
        drawn = False
        for nearness, tree in self._trees:
            if nearness > 1 and not drawn:
                moves, drawn = self._draw_rider(image, at), True
            covered = self._draw_tree(image, tree, camera, self._shake[at])
            moves *= 1 - covered
        if not drawn:
            moves = self._draw_rider(image, at)
        noisy = image * scene.light + self._rng.normal(0, scene.noise, image.shape)
        return np.clip(noisy, 0, 255).astype(np.uint8), moves > 0.5

    def _backdrop(self, camera: float, shake: np.ndarray) -> np.ndarray:
        """The horizon's picture, and the ground, which moves the faster the lower in the frame."""
        scene, size = self._scene, (self._width, self._height)
        horizon = scene.horizon * self._height
        image = _warped(self._far, self._origin(self._far) + camera * self._shift(_FAR) - shake[0], -shake[1], size)
        # A plane seen by a camera that goes sideways: a shear, by each row's nearness.
        slope = 1.0 / ((scene.rider_row - scene.horizon) * self._height)
        row = horizon + shake[1]
        steep = camera * slope * (1 - scene.turns)
        first = self._origin(self._ground) - shake[0] + camera * scene.turns
        matrix = np.array([[1, steep, first - steep * row], [0, 1, -shake[1]]], np.float64)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        ground = cv2.warpAffine(self._ground, matrix, size, flags=flags, borderMode=cv2.BORDER_REFLECT)
        below = np.clip(np.arange(self._height) - row + 0.5, 0, 1)[:, None, None].astype(np.float32)
        return image * (1 - below) + ground * below

    def _origin(self, plane: np.ndarray) -> float:
        return 20.0 if self._scene.speed_px > 0 else plane.shape[1] - self._width - 20.0

    def _draw_tree(self, image: np.ndarray, tree: _Tree, camera: float, shake: np.ndarray) -> np.ndarray:
        """Draw trunk and crown; float32 (H, W): how much of each px it covers."""
        scene, nearness = self._scene, tree.nearness
        x = tree.x_px - camera * self._shift(nearness) + shake[0]
        foot = (scene.horizon + (scene.rider_row - scene.horizon) * nearness) * self._height + shake[1]
        tall = nearness * 0.9 * self._height
        crown = (0.28 * tall, 0.3 * tall)
        cover = np.zeros((self._height, self._width), np.uint8)
        if not -crown[0] - 2 < x < self._width + crown[0] + 2:
            return cover.astype(np.float32)
        trunk = np.array([[x - tree.width_px / 2, foot], [x - tree.width_px / 3, foot - tall]])
        trunk = np.vstack([trunk, [[x + tree.width_px / 3, foot - tall], [x + tree.width_px / 2, foot]]])
        cv2.fillConvexPoly(cover, np.rint(16 * trunk).astype(np.int32), 255, cv2.LINE_AA, 4)
        for turn in 1.3 * np.arange(5):
            centre = (x + 0.5 * crown[0] * np.cos(turn), foot - tall + 0.5 * crown[1] * np.sin(turn))
            cv2.circle(cover, _sixteenths(centre), round(9 * crown[0]), 255, -1, cv2.LINE_AA, 4)
        alpha = cover.astype(np.float32) / 255
        phase = 37.0 * nearness
        texture = _warped(self._leaves, 200 + phase - x, 20 + phase - shake[1], (self._width, self._height))
        shade = 0.55 + 0.2 * np.sin(9 * nearness)
        _blend(image, texture * np.float32(shade), alpha)
        return alpha

    def _draw_rider(self, image: np.ndarray, at: int) -> np.ndarray:
        """Draw wheels, legs that tread, body and head; float32 (H, W): how much of each px they cover."""
        scene, size = self._scene, (self._width, self._height)
        seconds = at / _FPS
        wander = scene.wanders * np.sin(2 * np.pi * 0.35 * seconds + scene.seed)
        x = (0.5 + wander / 2) * self._width + self._shake[at, 0]
        up = scene.jump * max(0.0, float(np.sin(2 * np.pi * 0.6 * seconds + scene.seed))) * self._height
        ground = scene.rider_row * self._height + self._shake[at, 1]
        tall = scene.height * self._height
        if scene.shadow:
            dark = np.zeros(size[::-1], np.float32)
            centre, half = _sixteenths((x + 0.2 * tall, ground)), _sixteenths((0.6 * tall, 0.07 * tall))
            cv2.ellipse(dark, centre, half, 0, 0, 360, scene.shadow, -1, cv2.LINE_8, 4)
            image *= 1 - dark[..., None]
        cover = _rider((x, ground - up), tall, np.sign(scene.speed_px), seconds, size)
        texture = _warped(self._cloth, 90 - x, 120 - (ground - up), size)
        _blend(image, texture, cover)
        return cover


def _rider(foot: tuple[float, float], tall: float, ahead: float, seconds: float, size: tuple[int, int]) -> np.ndarray:
    """float32 (H, W): how much of each px a rider covers whose wheels touch the ground at `foot`."""
    cover = np.zeros(size[::-1], np.uint8)

    def at(x: float, y: float) -> tuple[int, int]:
        return _sixteenths((foot[0] + ahead * x * tall, foot[1] - y * tall))

    def limb(a: tuple[int, int], b: tuple[int, int], wide: float) -> None:
        cv2.line(cover, a, b, 255, max(1, round(wide * tall)), cv2.LINE_AA, 4)

    for x in (-0.28, 0.28):
        cv2.circle(cover, at(x, 0.16), round(16 * 0.15 * tall), 255, max(1, round(0.05 * tall)), cv2.LINE_AA, 4)
    limb(at(-0.28, 0.16), at(0.1, 0.22), 0.05)
    limb(at(0.1, 0.22), at(0.28, 0.16), 0.05)
    turn = 2 * np.pi * 1.4 * seconds
    for phase in (0.0, np.pi):
        pedal = at(0.02 + 0.09 * np.cos(turn + phase), 0.2 + 0.09 * np.sin(turn + phase))
        knee = at(0.14 + 0.05 * np.cos(turn + phase), 0.42 + 0.05 * np.sin(turn + phase))
        limb(pedal, knee, 0.08)
        limb(knee, at(-0.08, 0.52), 0.1)
    limb(at(-0.08, 0.52), at(0.08, 0.8), 0.2)
    limb(at(0.08, 0.78), at(0.26, 0.5), 0.07)
    cv2.circle(cover, at(0.13, 0.92), round(16 * 0.085 * tall), 255, -1, cv2.LINE_AA, 4)
    return cover.astype(np.float32) / 255


def _blend(image: np.ndarray, texture: np.ndarray, alpha: np.ndarray) -> None:
    image += (texture.astype(np.float32) - image) * alpha[..., None]


def _sixteenths(point: tuple[float, float]) -> tuple[int, int]:
    return round(16 * point[0]), round(16 * point[1])


def _tiled(photograph: np.ndarray, width: int, height: int) -> np.ndarray:
    """uint8 (height, width, 3): a photograph scaled to the height, mirrored side by side until it is wide enough."""
    scale = height / photograph.shape[0]
    tile = cv2.resize(photograph, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    pair = np.hstack([tile, tile[:, ::-1]])
    return np.ascontiguousarray(np.tile(pair, (1, -(-width // pair.shape[1]), 1))[:, :width])


def _warped(plane: np.ndarray, x: float, y: float, size: tuple[int, int]) -> np.ndarray:
    """uint8 (H, W, 3) from a plane's place (x, y) on, px."""
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float64)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(plane, matrix, size, flags=flags, borderMode=cv2.BORDER_REFLECT)
