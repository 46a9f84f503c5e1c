"""What a picture shows where nothing moves: a mixture of colors for each point, learned from frame to frame.

After Stauffer and Grimson (1999) and Zivkovic (2004), with three differences: the light may change as a whole without
the background changing, what moves is not learned, and the model may be shifted under a camera that pans.
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
_MODE_FLOATS = 5
_FLOATS = 1 + MODES * _MODE_FLOATS
"""Age in frames, then weight, three colors and variance of each mode, the heaviest first: one cache line."""

SKIP, DOUBT, LEARN = 0, 1, 2
"""What a point does with a frame's color: nothing; learn it for want of a better one; learn it."""

EVIDENCE_PER_SIGMA = 16
_LEAST_VARIANCE, _FIRST_VARIANCE, _MOST_VARIANCE = 9.0, 16.0, 60.0
"""Squared grey levels. The least is what coding leaves of a noiseless picture."""
_MATCHED_SIGMAS = 3.5
_BACKGROUND_WEIGHT = 0.2
_KNOWN_AGE = 2.0
_DOUBTFUL_SHARE = 0.5
"""Of a frame, by which a point that is learned in doubt comes nearer to being known."""
_YOUNG_AGE = 6.0
_DARKEST_SHADOW = 0.3
"""Of the luma in the light."""
_UNEVEN_SHARE = 0.08
_SHADOW_COLOR = 6.0
"""Chroma levels by which a shadow's color may be off."""
_NEW_SHARE = 0.25
"""How fast another color is taken up, against its own color, once a point has been seen for so many frames."""


class Background:
    """The model on a grid of (h, w) points."""

    def __init__(self, rows: int, columns: int, memory_seconds: float) -> None:
        """memory_seconds: time constant of learning."""
        self._state = np.zeros((rows, columns, _FLOATS), np.float32)
        self._memory_seconds = memory_seconds

    def evidence(self, picture: np.ndarray, tolerance: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """How little each point looks like the background, uint8 (h, w), 16 for each sigma; and where it is known.

        picture: uint8 (h, w, 3), luma first. tolerance: uint8 (h, w), grey levels by which a point may be off besides.
        """
        found, known = np.empty(picture.shape[:2], np.uint8), np.empty(picture.shape[:2], bool)
        by_rows(_measure, picture, _or_empty(tolerance), self._state, found, known)
        return found, known

    def sampled(self, every: int) -> tuple[np.ndarray, np.ndarray]:
        """The likeliest colors of every few points, float32 (h', w', 3), and where they are known, bool (h', w')."""
        points = self._state[every // 2 :: every, every // 2 :: every]
        return points[..., 2:5], points[..., 0] >= _KNOWN_AGE

    def shadows(self, picture: np.ndarray, evidence: np.ndarray) -> np.ndarray:
        """bool (h, w): where the background lies in less light: of the same color, darker by one share all around.

        evidence: of the same picture; where there is none nothing is asked. After Cucchiara et al. (2003), in luma and
        chroma; the share tells what is dark and colorless itself, in a colorless picture too.
        """
        darker, share = np.zeros(picture.shape[:2], np.uint8), np.ones(picture.shape[:2], np.float32)
        by_rows(_shade, picture, evidence, self._state, darker, share)
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

    def learn(self, picture: np.ndarray, how: np.ndarray, step_seconds: float) -> None:
        """Go on with a frame; how: uint8 (h, w) of SKIP, DOUBT and LEARN."""
        rate = 1.0 - float(np.exp(-step_seconds / self._memory_seconds))
        by_rows(functools.partial(_learn, np.float32(rate)), picture, how, self._state)

    @property
    def luma(self) -> np.ndarray:
        """float32 (h, w): the likeliest luma; 0 where unknown."""
        return self._state[..., 2]

    @property
    def known(self) -> np.ndarray:
        """bool (h, w)"""
        return self._state[..., 0] >= _KNOWN_AGE

    def forget(self) -> None:
        """Begin anew."""
        self._state[:] = 0.0

    def relight(self, curves: np.ndarray) -> None:
        """The light changed: level v of a channel is now curves[channel, v], float32 (3, 256)."""
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
    high, wide = values.shape[:2]
    moved = np.zeros_like(values)
    if abs(columns) < wide and abs(rows) < high:
        to = (slice(max(rows, 0), high + min(rows, 0)), slice(max(columns, 0), wide + min(columns, 0)))
        of = (slice(max(-rows, 0), high + min(-rows, 0)), slice(max(-columns, 0), wide + min(-columns, 0)))
        moved[to] = values[of]
    return moved


_NO_TOLERANCE = np.zeros((0, 0), np.uint8)


def _or_empty(tolerance: np.ndarray | None) -> np.ndarray:
    return _NO_TOLERANCE if tolerance is None else tolerance


@compiled
def _measure(picture: Any, tolerance: Any, state: Any, found: Any, known: Any) -> None:
    for i in range(picture.shape[0]):
        for j in range(picture.shape[1]):
            point = state[i, j]
            known[i, j] = point[0] >= _KNOWN_AGE
            if not known[i, j]:
                found[i, j] = 0
                continue
            y, u, v = np.float32(picture[i, j, 0]), np.float32(picture[i, j, 1]), np.float32(picture[i, j, 2])
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
                if least < np.float32(4):
                    break
            found[i, j] = min(np.float32(255), EVIDENCE_PER_SIGMA * np.sqrt(least))


@compiled
def _shade(picture: Any, evidence: Any, state: Any, found: Any, share: Any) -> None:
    one = np.float32(1)
    for i in range(picture.shape[0]):
        for j in range(picture.shape[1]):
            if evidence[i, j] < 2 * EVIDENCE_PER_SIGMA:
                continue
            y, u, v = np.float32(picture[i, j, 0]), np.float32(picture[i, j, 1]), np.float32(picture[i, j, 2])
            ratio = y / max(state[i, j, 2], one)
            share[i, j] = ratio
            if ratio < np.float32(_DARKEST_SHADOW) or ratio > one:
                continue
            du = u - np.float32(128) - ratio * (state[i, j, 3] - np.float32(128))
            dv = v - np.float32(128) - ratio * (state[i, j, 4] - np.float32(128))
            if max(abs(du), abs(dv)) < np.float32(_SHADOW_COLOR):
                found[i, j] = 255


@compiled
def _learn(rate: Any, picture: Any, how: Any, state: Any) -> None:
    one = np.float32(1)
    for i in range(picture.shape[0]):
        for j in range(picture.shape[1]):
            if how[i, j] == SKIP:
                continue
            point = state[i, j]
            y, u, v = np.float32(picture[i, j, 0]), np.float32(picture[i, j, 1]), np.float32(picture[i, j, 2])
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
                varied = point[base + 4] + min(part, np.float32(0.1)) * spread
                point[base + 4] = min(max(varied, np.float32(_LEAST_VARIANCE)), np.float32(_MOST_VARIANCE))
            for mode in range(MODES):
                point[1 + mode * _MODE_FLOATS] *= one - alpha
            point[1 + matched * _MODE_FLOATS] += alpha
            while matched > 0 and point[1 + matched * _MODE_FLOATS] > point[1 + (matched - 1) * _MODE_FLOATS]:
                upper, lower = 1 + (matched - 1) * _MODE_FLOATS, 1 + matched * _MODE_FLOATS
                for k in range(_MODE_FLOATS):
                    point[upper + k], point[lower + k] = point[lower + k], point[upper + k]
                matched -= 1
