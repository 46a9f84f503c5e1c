"""What the camera shows where nothing moves: a mixture of Gaussians in color at each point, learned frame by frame.

After Stauffer and Grimson (1999) and Zivkovic (2004), with three differences: the illumination may change as a whole
without the background changing, what moves is not learned, and the model may be shifted under a camera that pans.
Numbers without a source were chosen by hand; `python -m benchmarks.bench_motion_masks` shows their effect.
"""

from __future__ import annotations

import functools
from typing import Any

import cv2
import numpy as np

from raftline.camera.transforms import transform_xy
from raftline.kernels.compiled import compiled
from raftline.masks.row_threads import by_rows

MODES = 3
"""Gaussians of a point: Stauffer and Grimson use 3 to 5; three fill one cache line."""
_MODE_FLOATS = 5
_FLOATS = 1 + MODES * _MODE_FLOATS
"""Age in frames, then weight, three colors and variance of each mode, the heaviest first: one cache line."""

SKIP, DOUBT, LEARN = 0, 1, 2
"""What a point does with a frame's color: nothing; learn it for want of a better one; learn it."""

STEPS_PER_SIGMA = 16
"""Of the uint8 distance: it resolves 1/16 sigma and ends at 16 sigma."""
_LEAST_VARIANCE, _FIRST_VARIANCE, _MOST_VARIANCE = 9.0, 16.0, 60.0
"""Squared grey levels. The least is what coding leaves of a noiseless image; a new mode has a sigma of 4 (as OpenCV's
MOG2 has, nearly: its first variance is 15); the most keeps a mode from covering every color."""
_MATCHED_SIGMAS = 3.5
"""A color within this of a mode belongs to it, over three channels; Stauffer and Grimson take 2.5 for one."""
_BACKGROUND_WEIGHT = 0.2
"""A mode with less weight is no background, but the heaviest."""
_KNOWN_AGE = 2.0
"""Frames: what was seen twice is known."""
_DOUBTFUL_SHARE = 0.5
"""Of a frame, by which a point that is learned in doubt comes nearer to being known."""
_YOUNG_AGE = 6.0
"""Frames in which a point takes up every color at the full rate: it knows none well."""
_NEAR_ENOUGH = 4.0
"""Squared sigmas: within 2 sigma of a mode, the others are not asked."""
_DARKEST_SHADOW = 0.3
"""Of the luma without shadow."""
_UNEVEN_SHARE = 0.08
"""Deviation over 5x5 points of the share of light that is left: more is a thing, not a shadow."""
_SHADOW_COLOR = 6.0
"""Chroma levels by which a shadow's color may be off."""
_NEW_SHARE = 0.25
"""How fast another color is taken up, against its own color, once a point has been seen for so many frames."""
_FASTEST_VARIANCE = 0.1
"""Share of a frame's squared deviation that the variance takes up at most, or the first frames would set it."""


class GaussianMixture:
    """The model on a grid of (h, w) points."""

    def __init__(self, rows: int, columns: int, memory_seconds: float) -> None:
        """Begin with nothing known. memory_seconds: time constant of learning."""
        self._state = np.zeros((rows, columns, _FLOATS), np.float32)
        self._memory_seconds = memory_seconds

    def mahalanobis(self, image: np.ndarray, tolerance: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Mahalanobis distance of each point's color from the nearest mode of the background.

        Args:
            image: uint8 (h, w, 3), luma first.
            tolerance: uint8 (h, w), grey levels by which a point may be off besides.

        Returns:
            uint8 (h, w), `STEPS_PER_SIGMA` for each sigma, 0 where the background is unknown; and bool (h, w), where it
            is known.
        """
        found, known = np.empty(image.shape[:2], np.uint8), np.empty(image.shape[:2], bool)
        by_rows(_measure, image, _NO_TOLERANCE if tolerance is None else tolerance, self._state, found, known)
        return found, known

    def sampled(self, every: int) -> tuple[np.ndarray, np.ndarray]:
        """The likeliest colors of every few points, float32 (h', w', 3), and where they are known, bool (h', w')."""
        points = self._state[every // 2 :: every, every // 2 :: every]
        return points[..., 2:5], points[..., 0] >= _KNOWN_AGE

    def shadows(self, image: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """bool (h, w): where the background lies in shadow: of the same color, darker by one share all around.

        After Cucchiara et al. (2003), in luma and chroma; the share tells what is dark and colorless itself, in a
        colorless image too.

        Args:
            image: uint8 (h, w, 3).
            distance: `mahalanobis` of the same image; points of less than 2 sigma are not looked at.
        """
        darker, share = np.zeros(image.shape[:2], np.uint8), np.ones(image.shape[:2], np.float32)
        by_rows(_shade, image, distance, self._state, darker, share)
        found = np.zeros(darker.shape, bool)
        x, y, wide, high = cv2.boundingRect(darker)
        if wide == 0:
            return found
        # Means over 5x5 points: what lies farther from what is darker has no part in them.
        near = (slice(max(y - 4, 0), y + high + 4), slice(max(x - 4, 0), x + wide + 4))
        mean, square = cv2.blur(share[near], (5, 5)), cv2.blur(share[near] * share[near], (5, 5))
        even = square - mean * mean < _UNEVEN_SHARE**2
        found[near] = (cv2.blur(darker[near], (5, 5)) > 127) & even
        return found

    def learn(self, image: np.ndarray, how: np.ndarray, step_seconds: float) -> None:
        """Learn a frame.

        Args:
            image: uint8 (h, w, 3).
            how: uint8 (h, w) of SKIP, DOUBT and LEARN.
            step_seconds: Time since the frame before.
        """
        rate = 1.0 - float(np.exp(-step_seconds / self._memory_seconds))
        by_rows(functools.partial(_learn, np.float32(rate)), image, how, self._state)

    @property
    def luma(self) -> np.ndarray:
        """float32 (h, w): the likeliest luma; 0 where unknown."""
        return self._state[..., 2]

    @property
    def known(self) -> np.ndarray:
        """bool (h, w): where a color was learned."""
        return self._state[..., 0] >= _KNOWN_AGE

    def forget(self) -> None:
        """Begin anew."""
        self._state[:] = 0.0

    def relight(self, curves: np.ndarray) -> None:
        """The illumination changed: level v of a channel is now curves[channel, v], float32 (3, 256)."""
        for mode in range(MODES):
            for channel, curve in enumerate(curves):
                level = self._state[..., 2 + channel + mode * _MODE_FLOATS]
                level[:] = np.interp(level, np.arange(256), curve)

    def shift(self, columns: int, rows: int) -> None:
        """Move the model by whole points; what comes in at the rim is unknown."""
        self._state = _shifted(self._state, columns, rows)

    def resample(self, matrix: np.ndarray) -> None:
        """Move the model by a plane transform (3, 3), each point taking the nearest."""
        rows, columns = self._state.shape[:2]
        x, y = np.meshgrid(np.arange(columns), np.arange(rows))
        from_x, from_y = (np.rint(each).astype(np.intp) for each in transform_xy(np.linalg.inv(matrix), x, y))
        inside = (from_x >= 0) & (from_x < columns) & (from_y >= 0) & (from_y < rows)
        moved = np.zeros_like(self._state)
        moved[inside] = self._state[from_y[inside], from_x[inside]]
        self._state = moved


def _shifted(values: np.ndarray, columns: int, rows: int) -> np.ndarray:
    """Values (h, w, n) moved by whole points; 0 where nothing comes in."""
    high, wide = values.shape[:2]
    moved = np.zeros_like(values)
    if abs(columns) < wide and abs(rows) < high:
        to = (slice(max(rows, 0), high + min(rows, 0)), slice(max(columns, 0), wide + min(columns, 0)))
        of = (slice(max(-rows, 0), high + min(-rows, 0)), slice(max(-columns, 0), wide + min(-columns, 0)))
        moved[to] = values[of]
    return moved


_NO_TOLERANCE = np.zeros((0, 0), np.uint8)
"""Stands for none in a kernel, whose arguments have one type."""


@compiled
def _measure(image: Any, tolerance: Any, state: Any, found: Any, known: Any) -> None:
    """`GaussianMixture.mahalanobis` of some rows, into `found` and `known`."""
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            point = state[i, j]
            known[i, j] = point[0] >= _KNOWN_AGE
            if not known[i, j]:
                found[i, j] = 0
                continue
            y, u, v = np.float32(image[i, j, 0]), np.float32(image[i, j, 1]), np.float32(image[i, j, 2])
            more = np.float32(0)
            if tolerance.shape[0]:
                more = np.float32(tolerance[i, j]) * np.float32(tolerance[i, j])
            least = np.float32(1e9)
            for mode in range(MODES):
                base = 1 + mode * _MODE_FLOATS
                if mode > 0 and point[base] < _BACKGROUND_WEIGHT:
                    break
                dy, du, dv = y - point[base + 1], u - point[base + 2], v - point[base + 3]
                far = (dy * dy + du * du + dv * dv) / (point[base + 4] + more)
                least = min(least, far)
                if least < np.float32(_NEAR_ENOUGH):
                    break
            found[i, j] = min(np.float32(255), STEPS_PER_SIGMA * np.sqrt(least))


@compiled
def _shade(image: Any, distance: Any, state: Any, found: Any, share: Any) -> None:
    """Points of the background's color and darker, as 255 into `found`; luma over the background's into `share`."""
    one = np.float32(1)
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            if distance[i, j] < 2 * STEPS_PER_SIGMA:
                continue
            y, u, v = np.float32(image[i, j, 0]), np.float32(image[i, j, 1]), np.float32(image[i, j, 2])
            ratio = y / max(state[i, j, 2], one)
            share[i, j] = ratio
            if ratio < np.float32(_DARKEST_SHADOW) or ratio > one:
                continue
            du = u - np.float32(128) - ratio * (state[i, j, 3] - np.float32(128))
            dv = v - np.float32(128) - ratio * (state[i, j, 4] - np.float32(128))
            if max(abs(du), abs(dv)) < np.float32(_SHADOW_COLOR):
                found[i, j] = 255


@compiled
def _learn(rate: Any, image: Any, how: Any, state: Any) -> None:
    """Update some rows: match a mode or replace the lightest, adapt it, and keep the modes in order of weight."""
    one = np.float32(1)
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            if how[i, j] == SKIP:
                continue
            point = state[i, j]
            y, u, v = np.float32(image[i, j, 0]), np.float32(image[i, j, 1]), np.float32(image[i, j, 2])
            age = point[0]
            alpha = max(rate, one / (age + one))
            young = age < np.float32(_YOUNG_AGE)
            if how[i, j] == LEARN:
                point[0] = min(age + one, np.float32(1e6))
            elif age < np.float32(_KNOWN_AGE):
                point[0] = age + np.float32(_DOUBTFUL_SHARE)
            matched = -1
            for mode in range(MODES):
                base = 1 + mode * _MODE_FLOATS
                if point[base] <= 0:
                    break
                dy, du, dv = y - point[base + 1], u - point[base + 2], v - point[base + 3]
                far = dy * dy + du * du + dv * dv
                if far < np.float32(_MATCHED_SIGMAS * _MATCHED_SIGMAS) * point[base + 4]:
                    matched = mode
                    break
            if matched < 0:
                matched = MODES - 1
                base = 1 + matched * _MODE_FLOATS
                point[base] = 0
                point[base + 1], point[base + 2], point[base + 3] = y, u, v
                point[base + 4] = np.float32(_FIRST_VARIANCE)
                if not young:
                    alpha = max(rate, np.float32(_NEW_SHARE) * alpha)
            else:
                base = 1 + matched * _MODE_FLOATS
                if matched > 0 and not young:
                    alpha = max(rate, np.float32(_NEW_SHARE) * alpha)
                part = alpha / max(point[base] + alpha * (one - point[base]), alpha)
                dy, du, dv = y - point[base + 1], u - point[base + 2], v - point[base + 3]
                point[base + 1] += part * dy
                point[base + 2] += part * du
                point[base + 3] += part * dv
                spread = (dy * dy + du * du + dv * dv) / np.float32(3) - point[base + 4]
                varied = point[base + 4] + min(part, np.float32(_FASTEST_VARIANCE)) * spread
                point[base + 4] = min(max(varied, np.float32(_LEAST_VARIANCE)), np.float32(_MOST_VARIANCE))
            for mode in range(MODES):
                point[1 + mode * _MODE_FLOATS] *= one - alpha
            point[1 + matched * _MODE_FLOATS] += alpha
            while matched > 0 and point[1 + matched * _MODE_FLOATS] > point[1 + (matched - 1) * _MODE_FLOATS]:
                upper, lower = 1 + (matched - 1) * _MODE_FLOATS, 1 + matched * _MODE_FLOATS
                for k in range(_MODE_FLOATS):
                    point[upper + k], point[lower + k] = point[lower + k], point[upper + k]
                matched -= 1
