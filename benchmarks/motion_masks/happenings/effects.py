"""Weather, light, and things that go on for ever: nothing of it is an event."""

from __future__ import annotations

import cv2
import numpy as np

from benchmarks.motion_masks.happenings.scenes import SIZE, Effect

_X, _Y = np.meshgrid(np.arange(SIZE[0], dtype=np.float32), np.arange(SIZE[1], dtype=np.float32))
Box = tuple[int, int, int, int]
"""x, y, width, height, px."""


def rain(streaks: int, long_px: int) -> Effect:
    """Streaks at new places in each frame."""

    def drawn(image: np.ndarray, seconds: float, rng: np.random.Generator) -> np.ndarray:
        wet = np.zeros(SIZE[::-1], np.uint8)
        for x, y in rng.uniform((0, 0), SIZE, (streaks, 2)):
            end = (round(x + 0.15 * long_px), round(y + long_px))
            cv2.line(wet, (round(x), round(y)), end, int(rng.integers(50, 110)), 1, cv2.LINE_AA)
        return image + (215 - image) * (wet.astype(np.float32) / 255)[..., None]

    return drawn


def snow(flakes: int, px_s: float, seed: int) -> Effect:
    """Flakes of 1 to 3 px that fall and drift."""
    chance = np.random.default_rng(seed)
    places, speeds = chance.uniform((0, 0), SIZE, (flakes, 2)), chance.uniform(0.7, 1.3, flakes) * px_s
    sizes, phases = chance.uniform(0.6, 1.6, flakes), chance.uniform(0, 6, flakes)

    def drawn(image: np.ndarray, seconds: float, rng: np.random.Generator) -> np.ndarray:
        white = np.zeros(SIZE[::-1], np.uint8)
        for (x, y), speed, size, phase in zip(places, speeds, sizes, phases, strict=True):
            to_x = (x + 6 * np.sin(1.5 * seconds + phase) + 0.2 * speed * seconds) % SIZE[0]
            to_y = (y + speed * seconds) % SIZE[1]
            cv2.circle(white, (round(16 * to_x), round(16 * to_y)), round(16 * size), 190, -1, cv2.LINE_AA, 4)
        return image + (240 - image) * (white.astype(np.float32) / 255)[..., None]

    return drawn


def leaves(box: Box, sway_px: float, hertz: float) -> Effect:
    """A part of the scene sways, each twig at its own time."""

    def drawn(image: np.ndarray, seconds: float, rng: np.random.Generator) -> np.ndarray:
        left, top, wide, high = box
        gust = 0.6 + 0.4 * np.sin(0.9 * seconds)
        phase = 0.21 * _X + 0.13 * _Y + 2 * np.sin(0.05 * _X + 0.11 * _Y)
        away = sway_px * gust * np.sin(2 * np.pi * hertz * seconds + phase)
        edge = np.minimum.reduce([_X - left, left + wide - _X, _Y - top, top + high - _Y])
        away = (away * np.clip(edge / 8, 0, 1)).astype(np.float32)
        return cv2.remap(image, _X + away, _Y + 0.4 * away, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)

    return drawn


def screen(box: Box, seed: int) -> Effect:
    """A television: other colors every few frames, and its pictures move."""
    left, top, wide, high = box

    def drawn(image: np.ndarray, seconds: float, rng: np.random.Generator) -> np.ndarray:
        shot = np.random.default_rng([seed, int(seconds / 0.7)])
        color, (step_x, step_y) = shot.uniform(40, 220, 3), shot.uniform(-25, 25, 2)
        x, y = (_X - left + step_x * seconds) / 7, (_Y - top + step_y * seconds) / 6
        shown = (color + 50 * (np.sin(x) * np.cos(y))[..., None]) * shot.uniform(0.6, 1.2)
        image[top : top + high, left : left + wide] = shown[top : top + high, left : left + wide]
        return image

    return drawn


def flag(box: Box, hertz: float) -> Effect:
    """Stripes that wave in the wind, fixed at the left."""
    left, top, wide, high = box

    def drawn(image: np.ndarray, seconds: float, rng: np.random.Generator) -> np.ndarray:
        along = np.clip((_X - left) / wide, 0, 1)
        up = 0.16 * high * along * np.sin(2 * np.pi * (hertz * seconds - 1.3 * along))
        row = _Y - top - up
        cloth = (row >= 0) & (row < high) & (np.abs(_X - left - wide / 2) < wide / 2)
        stripes = np.where((row * 3 / high).astype(int) % 2 == 0, 200, 60)[..., None] * np.array([1, 0.5, 0.4])
        shade = 1 + 0.2 * np.cos(2 * np.pi * (hertz * seconds - 1.3 * along))
        image[cloth] = (stripes * shade[..., None])[cloth]
        return image

    return drawn


def cloud(begin: float, px_s: float, wide_px: float, soft_px: float, dark: float) -> Effect:
    """The shadow of a cloud comes in from one side, with soft edges, and goes; px_s < 0: from the right."""

    def drawn(image: np.ndarray, seconds: float, rng: np.random.Generator) -> np.ndarray:
        front = abs(px_s) * (seconds - begin) + 0.25 * _Y
        place = _X if px_s > 0 else SIZE[0] - _X
        behind = front - place
        share = np.clip(behind / soft_px, 0, 1) * np.clip((wide_px + soft_px - behind) / soft_px, 0, 1)
        return image * (1 - dark * share)[..., None]

    return drawn


def headlights(begin: float, seconds_long: float, row_px: float, size_px: float, bright: float, ahead: int) -> Effect:
    """Two spots of light sweep along a wall."""

    def drawn(image: np.ndarray, seconds: float, rng: np.random.Generator) -> np.ndarray:
        share = (seconds - begin) / seconds_long
        if not 0 <= share <= 1:
            return image
        x = (share if ahead > 0 else 1 - share) * (SIZE[0] + 4 * size_px) - 2 * size_px
        lit = np.zeros_like(_X)
        for side in (-0.6, 0.6):
            lit += np.exp(-(((_X - x) / size_px - side) ** 2) - ((_Y - row_px) / (0.6 * size_px)) ** 2)
        return image * (1 + bright * lit)[..., None] + 15 * bright * lit[..., None]

    return drawn
