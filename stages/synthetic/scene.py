"""A scene whose ground truth is known: where the camera is, what moves, and where each pixel goes.

A landscape painted on a plane is seen by a camera that pans, turns and zooms slowly (the base path) and shakes like a
hand (the shake). A car and a balloon move in it. The seed determines everything; no state is kept between frames.
Matrices are 3x3, act on column vectors (x, y, 1) of pixel centres, x right, y down.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np

from stages.synthetic.landscape import paint_balloon, paint_car, paint_landscape

_SHAKE_WAVES = 6
_SHAKE_HZ = (1.2, 8.0)
"""Number and frequencies of the sine waves that make up the shake. Chosen by hand, like all that describes the scene
below."""
_SHAKE_RADIANS_PER_PX = 0.0009
"""A hand that shifts the view by 5 px RMS turns it by about a quarter of a degree."""
_PAN = (0.09, 0.05)
"""Amplitude of the base path in x and y, as a share of the frame."""
_PAN_SECONDS = (13.0, 17.0)
_TURN_RADIANS, _TURN_SECONDS = 0.012, 11
_ZOOM, _ZOOM_SECONDS = 0.03, 19
"""Amplitudes and periods of the base path. No period is a multiple of another, so that the path does not repeat."""


@dataclass(frozen=True)
class SyntheticScene:
    """The scene and its ground truth, frame by frame from 0."""

    width: int = 640
    """px"""
    height: int = 360
    """px"""
    fps: float = 30.0
    seed: int = 1
    shake_px: float = 5.0
    """Root mean square of the shake in x and in y, px."""
    objects: bool = True
    """Whether the car and the balloon are shown."""

    def rgb(self, index: int) -> np.ndarray:
        """The image: uint8 (H, W, 3) RGB."""
        size = (self.width, self.height)
        image = cv2.warpAffine(self._canvas, self.pose(index)[:2], size, flags=cv2.INTER_LINEAR)
        for sprite, matrix in self._placed(index):
            sprite.draw(image, matrix)
        return image

    def mask(self, index: int) -> np.ndarray:
        """What moves by itself: uint8 (H, W), 255 where an object covers at least half of the pixel, else 0."""
        return np.where(self.layers(index) > 0, np.uint8(255), np.uint8(0))

    def layers(self, index: int) -> np.ndarray:
        """What each pixel shows: uint8 (H, W), 0 landscape, 1 balloon, 2 car."""
        layers = np.zeros((self.height, self.width), np.uint8)
        for number, (sprite, matrix) in enumerate(self._placed(index), start=1):
            layers[sprite.opacity(matrix, (self.width, self.height)) >= 0.5] = number
        return layers

    def pose(self, index: int) -> np.ndarray:
        """Landscape px to px of frame `index`: float64 (3, 3)."""
        x, y, angle = self._shake(index)
        return _similarity(self._centre(index) + (x, y), self._turn(index) + angle, self._zoom(index), self._view)

    def base_path(self, index: int) -> np.ndarray:
        """`pose` as it would be without shake."""
        return _similarity(self._centre(index), self._turn(index), self._zoom(index), self._view)

    def steady(self, index: int) -> np.ndarray:
        """Px of frame `index` to where a camera without shake would have shown them: float64 (3, 3)."""
        return self.base_path(index) @ np.linalg.inv(self.pose(index))

    def camera(self, index: int) -> np.ndarray:
        """Px of frame `index` - 1 to px of frame `index`, as the camera moved: float64 (3, 3)."""
        return self.pose(index) @ np.linalg.inv(self.pose(index - 1))

    def flow(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Optical flow from frame `index` - 1 to frame `index`.

        Returns:
            float32 (H, W, 2): (u, v) in px, defined also where the target is occluded or outside the frame;
            bool (H, W): true there, and where the target lies at the edge between two layers.
        """
        before, after = self.layers(index - 1), self.layers(index)
        motions = [self.camera(index)]
        for (_, earlier), (_, later) in zip(self._placed(index - 1), self._placed(index), strict=True):
            motions.append(later @ np.linalg.inv(earlier))
        x, y = np.meshgrid(np.arange(self.width, dtype=np.float64), np.arange(self.height, dtype=np.float64))
        target = np.empty((2, self.height, self.width))
        for number, motion in enumerate(motions):
            here = before == number
            target[:, here] = motion[:2, :2] @ np.stack([x[here], y[here]]) + motion[:2, 2:]
        flow = np.stack([target[0] - x, target[1] - y], axis=-1).astype(np.float32)
        return flow, _covered(target, before, after)

    @cached_property
    def _view(self) -> np.ndarray:
        return np.array([(self.width - 1) / 2, (self.height - 1) / 2])

    @property
    def _scale(self) -> float:
        return self.height / 360

    @cached_property
    def _margin(self) -> np.ndarray:
        """Landscape beyond the frame on each side, px: as far as the camera can look, as the shake is bounded."""
        reach = self.shake_px * np.sqrt(2 * _SHAKE_WAVES)
        angle = _TURN_RADIANS + reach * _SHAKE_RADIANS_PER_PX / self._scale
        turned = np.array([self.height, self.width]) / 2 * angle
        zoomed = np.array([self.width, self.height]) / 2 * 1.5 * _ZOOM
        return np.ceil(np.array(_PAN) * (self.width, self.height) + reach + turned + zoomed + 4)

    @cached_property
    def _canvas(self) -> np.ndarray:
        width, height = (np.array([self.width, self.height]) + 2 * self._margin).astype(int)
        key = (int(width), int(height), self._scale, float(self._level(0.56)), float(self._level(0.82)), self.seed)
        return _landscape(*key)

    def _level(self, share: float) -> float:
        """y in the landscape of a share of the frame's height."""
        return float(self._margin[1] + share * self.height)

    @cached_property
    def _waves(self) -> np.ndarray:
        """Amplitude, frequency in rad/s and phase of the shake's waves: (3 for x, y, angle; 3; waves)."""
        rng = np.random.default_rng(self.seed + 7919)
        hertz = np.sort(rng.uniform(*_SHAKE_HZ, (3, _SHAKE_WAVES)), axis=1)
        amplitude = 1 / hertz
        amplitude *= self.shake_px / np.sqrt((amplitude**2).sum(1, keepdims=True) / 2)
        amplitude[2] *= _SHAKE_RADIANS_PER_PX / self._scale
        return np.stack([amplitude, 2 * np.pi * hertz, rng.uniform(0, 2 * np.pi, hertz.shape)], axis=1)

    def _shake(self, index: int) -> np.ndarray:
        """x, y in px and angle in radians."""
        amplitude, rate, phase = self._waves[:, 0], self._waves[:, 1], self._waves[:, 2]
        return (amplitude * np.sin(rate * (index / self.fps) + phase)).sum(1)

    def _centre(self, index: int) -> np.ndarray:
        seconds = index / self.fps
        share = np.sin(2 * np.pi * seconds / np.array(_PAN_SECONDS) + (0.0, 0.7)) * _PAN
        return self._margin + self._view + share * (self.width, self.height)

    def _turn(self, index: int) -> float:
        return _TURN_RADIANS * float(np.sin(2 * np.pi * index / self.fps / _TURN_SECONDS + 1))

    def _zoom(self, index: int) -> float:
        return 1 + _ZOOM * float(np.sin(2 * np.pi * index / self.fps / _ZOOM_SECONDS))

    @cached_property
    def _sprites(self) -> tuple[_Sprite, _Sprite]:
        return _Sprite(*paint_balloon(self._scale)), _Sprite(*paint_car(self._scale))

    def _placed(self, index: int) -> list[tuple[_Sprite, np.ndarray]]:
        """The objects, farthest first, and the matrices from their px to those of frame `index`."""
        if not self.objects:
            return []
        seconds, scale, pose = index / self.fps, self._scale, self.pose(index)
        balloon, car = self._sprites
        sway = 0.09 * np.sin(2 * np.pi * seconds / 4.7)
        # Along an ellipse, so that it never stands still.
        round_trip = 2 * np.pi * seconds / 6
        x = self._margin[0] + self.width * (0.72 + 0.11 * np.sin(round_trip))
        y = self._level(0.28) + self.height * 0.1 * np.cos(round_trip)
        floating = pose @ _similarity(balloon.centre, sway, 1.0, np.array([x, y]))
        # The car leaves at one side, far out of sight, and returns at the other.
        lap = self.width + 2 * self._margin[0] + 2 * car.size[0]
        along = (self._margin[0] + 0.6 * car.size[0] + 96 * scale * seconds) % lap - car.size[0]
        bump = 0.8 * scale * np.sin(2 * np.pi * seconds * 1.3)
        place = np.array([along, self._level(0.82) - 8 * scale + bump])
        return [(balloon, floating), (car, pose @ _similarity(car.centre, 0.0, 1.0, place))]


class _Sprite:
    """An image with opacity."""

    def __init__(self, color: np.ndarray, opacity: np.ndarray) -> None:
        # A transparent rim, so that samples beyond the edge are transparent.
        self._color = cv2.copyMakeBorder(color, 2, 2, 2, 2, cv2.BORDER_REPLICATE)
        self._opacity = cv2.copyMakeBorder(opacity, 2, 2, 2, 2, cv2.BORDER_CONSTANT)
        self.size = (self._opacity.shape[1], self._opacity.shape[0])
        self.centre = (np.array(self.size) - 1) / 2

    def opacity(self, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """float32 (H, W), 0-1, of a frame of this (width, height)."""
        return cv2.warpAffine(self._opacity, matrix[:2], size, flags=cv2.INTER_LINEAR)

    def draw(self, image: np.ndarray, matrix: np.ndarray) -> None:
        """Draw it onto uint8 (H, W, 3), in place."""
        width, height = self.size
        corners = matrix[:2] @ np.array([[0, width, width, 0], [0, 0, height, height], [1, 1, 1, 1]])
        left, top = np.maximum(np.floor(corners.min(1)).astype(int) - 1, 0)
        right, bottom = np.minimum(np.ceil(corners.max(1)).astype(int) + 2, (image.shape[1], image.shape[0]))
        if left >= right or top >= bottom:
            return
        moved = matrix[:2].copy()
        moved[:, 2] -= (left, top)
        size = (int(right - left), int(bottom - top))
        color = cv2.warpAffine(self._color, moved, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        share = self.opacity(moved, size)[..., None]
        behind = image[top:bottom, left:right]
        behind[:] = np.rint(behind * (1 - share) + color * share).astype(np.uint8)


@lru_cache(maxsize=4)
def _landscape(width: int, height: int, scale: float, horizon: float, road: float, seed: int) -> np.ndarray:
    return paint_landscape(width, height, scale, horizon, road, seed)


def _similarity(centre: np.ndarray, angle: float, zoom: float, place: np.ndarray) -> np.ndarray:
    """Rotate and scale about `centre`, and move it to `place`."""
    c, s = zoom * np.cos(angle), zoom * np.sin(angle)
    matrix = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    matrix[:2, 2] = np.asarray(place) - matrix[:2, :2] @ np.asarray(centre)
    return matrix


def _covered(target: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    height, width = before.shape
    x, y = np.floor(target[0]).astype(int), np.floor(target[1]).astype(int)
    covered = (x < 0) | (y < 0) | (x >= width - 1) | (y >= height - 1)
    x, y = np.clip(x, 0, max(0, width - 2)), np.clip(y, 0, max(0, height - 2))
    for offset_x, offset_y in ((0, 0), (1, 0), (0, 1), (1, 1)):
        neighbour = after[np.minimum(y + offset_y, height - 1), np.minimum(x + offset_x, width - 1)]
        covered |= neighbour != before
    return covered
