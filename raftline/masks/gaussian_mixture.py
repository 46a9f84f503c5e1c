"""What the camera shows where nothing moves: a mixture of Gaussians in color at each point, learned frame by frame.

After Stauffer and Grimson (1999) and Zivkovic (2004), with three differences: the illumination may change as a whole
without the background changing, what moves is not learned, and the model may be shifted under a camera that pans.
Numbers without a source were chosen by hand; `python -m benchmarks.bench_motion_masks` shows their effect.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from raftline.camera.transforms import transform_xy
from raftline.kernels.compiled import compiled
from raftline.masks.row_threads import by_rows

MODES = 3
"""Gaussians of a point: Stauffer and Grimson use 3 to 5."""
_MODE_FLOATS = 5
_FLOATS = 1 + MODES * _MODE_FLOATS
"""Age in frames, then weight, three colors and variance of each mode, the heaviest first."""

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
_OLDEST = 1e6
"""Frames: counting goes no further."""
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
        self._state = np.zeros((rows, _FLOATS, columns), np.float32)
        """Each number of a row's points lies together: most points need few of them, and many at once."""
        self._memory_seconds = memory_seconds
        # New memory for each frame would cost as much as what is done with it.
        self._planes = [np.empty((rows, columns), np.uint8) for _ in range(3)]
        self._image: np.ndarray | None = None
        """Whose planes they are: that of the last `mahalanobis`, as a rule."""
        self._no_tolerance = np.zeros((rows, columns), np.uint8)
        self._darker, self._share = np.zeros((rows, columns), np.uint8), np.ones((rows, columns), np.float32)

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
        self._image = None
        more = self._no_tolerance if tolerance is None else tolerance
        by_rows(_measure, *self._split(image), more, self._state, found, known)
        return found, known

    def sampled(self, every: int) -> tuple[np.ndarray, np.ndarray]:
        """The likeliest colors of every few points, float32 (h', w', 3), and where they are known, bool (h', w')."""
        points = self._state[every // 2 :: every, :, every // 2 :: every]
        return np.moveaxis(points[:, 2:5], 1, 2), points[:, 0] >= _KNOWN_AGE

    def shadows(self, image: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """bool (h, w): where the background lies in shadow: of the same color, darker by one share all around.

        After Cucchiara et al. (2003), in luma and chroma; the share tells what is dark and colorless itself, in a
        colorless image too.

        Args:
            image: uint8 (h, w, 3).
            distance: `mahalanobis` of the same image; points of less than 2 sigma are not looked at.
        """
        darker, share = self._darker, self._share
        by_rows(_shade, *self._split(image), distance, self._state, darker, share)
        found = np.zeros(darker.shape, bool)
        mostly = cv2.blur(darker, (5, 5)) > 127
        x, y, wide, high = cv2.boundingRect(mostly.view(np.uint8))
        if wide == 0:
            return found
        # Means over 5x5 points: what lies farther away has no part in them.
        near = (slice(max(y - 4, 0), y + high + 4), slice(max(x - 4, 0), x + wide + 4))
        mean, square = cv2.blur(share[near], (5, 5)), cv2.blur(share[near] * share[near], (5, 5))
        found[near] = mostly[near] & (square - mean * mean < _UNEVEN_SHARE**2)
        return found

    def learn(self, image: np.ndarray, how: np.ndarray, step_seconds: float) -> None:
        """Learn a frame.

        Args:
            image: uint8 (h, w, 3).
            how: uint8 (h, w) of SKIP, DOUBT and LEARN.
            step_seconds: Time since the frame before.
        """
        rate = 1.0 - float(np.exp(-step_seconds / self._memory_seconds))
        by_rows(functools.partial(_learn, np.float32(rate)), *self._split(image), how, self._state)

    def _split(self, image: np.ndarray) -> Sequence[np.ndarray]:
        """Planes of an image (h, w, 3), each uint8 (h, w)."""
        if image is not self._image:
            cv2.split(image, self._planes)
            self._image = image
        return self._planes

    @property
    def luma(self) -> np.ndarray:
        """float32 (h, w): the likeliest luma; 0 where unknown."""
        return self._state[:, 2]

    @property
    def known(self) -> np.ndarray:
        """bool (h, w): where a color was learned."""
        return self._state[:, 0] >= _KNOWN_AGE

    def forget(self) -> None:
        """Begin anew."""
        self._state[:] = 0.0

    def relight(self, curves: np.ndarray) -> None:
        """The illumination changed: level v of a channel is now curves[channel, v], float32 (3, 256)."""
        for mode in range(MODES):
            for channel, curve in enumerate(curves):
                level = self._state[:, 2 + channel + mode * _MODE_FLOATS]
                level[:] = np.interp(level, np.arange(256), curve)

    def shift(self, columns: int, rows: int) -> None:
        """Move the model by whole points; what comes in at the rim is unknown."""
        self._state = _shifted(self._state, columns, rows)

    def resample(self, matrix: np.ndarray) -> None:
        """Move the model by a plane transform (3, 3), each point taking the nearest."""
        rows, _, columns = self._state.shape
        x, y = np.meshgrid(np.arange(columns), np.arange(rows))
        from_x, from_y = (np.rint(each).astype(np.intp) for each in transform_xy(np.linalg.inv(matrix), x, y))
        inside = (from_x >= 0) & (from_x < columns) & (from_y >= 0) & (from_y < rows)
        moved = np.zeros_like(self._state)
        to_y, to_x = np.nonzero(inside)
        moved[to_y, :, to_x] = self._state[from_y[inside], :, from_x[inside]]
        self._state = moved


def _shifted(values: np.ndarray, columns: int, rows: int) -> np.ndarray:
    """Values (h, n, w) moved by whole points; 0 where nothing comes in."""
    high, _, wide = values.shape
    moved = np.zeros_like(values)
    if abs(columns) < wide and abs(rows) < high:
        to = (slice(max(rows, 0), high + min(rows, 0)), slice(None), slice(max(columns, 0), wide + min(columns, 0)))
        of = (slice(max(-rows, 0), high + min(-rows, 0)), slice(None), slice(max(-columns, 0), wide + min(-columns, 0)))
        moved[to] = values[of]
    return moved


@compiled
def _measure(luma: Any, blue: Any, red: Any, tolerance: Any, state: Any, found: Any, known: Any) -> None:
    """`GaussianMixture.mahalanobis` of some rows, into `found` and `known`. Loops over a row vectorize."""
    height, width = luma.shape
    least = np.empty(width, np.float32)
    for i in range(height):
        row = state[i]
        for j in range(width):
            y, u, v = np.float32(luma[i, j]), np.float32(blue[i, j]), np.float32(red[i, j])
            more = np.float32(tolerance[i, j]) * np.float32(tolerance[i, j])
            dy, du, dv = y - row[2, j], u - row[3, j], v - row[4, j]
            least[j] = (dy * dy + du * du + dv * dv) / (row[5, j] + more)
        for j in range(width):
            if least[j] < np.float32(_NEAR_ENOUGH) or row[0, j] < np.float32(_KNOWN_AGE):
                continue
            y, u, v = np.float32(luma[i, j]), np.float32(blue[i, j]), np.float32(red[i, j])
            more = np.float32(tolerance[i, j]) * np.float32(tolerance[i, j])
            for mode in range(1, MODES):
                base = 1 + mode * _MODE_FLOATS
                if row[base, j] < np.float32(_BACKGROUND_WEIGHT):
                    break
                dy, du, dv = y - row[base + 1, j], u - row[base + 2, j], v - row[base + 3, j]
                far = (dy * dy + du * du + dv * dv) / (row[base + 4, j] + more)
                least[j] = min(least[j], far)
                if least[j] < np.float32(_NEAR_ENOUGH):
                    break
        for j in range(width):
            is_known = row[0, j] >= np.float32(_KNOWN_AGE)
            away = min(np.float32(255), np.float32(STEPS_PER_SIGMA) * np.sqrt(least[j]))
            known[i, j] = is_known
            found[i, j] = np.uint8(np.int32(away if is_known else np.float32(0)))


@compiled
def _shade(luma: Any, blue: Any, red: Any, distance: Any, state: Any, found: Any, share: Any) -> None:
    """Points of the background's color and darker, as 255 into `found`; luma over the background's into `share`."""
    one, grey = np.float32(1), np.float32(128)
    for i in range(luma.shape[0]):
        row = state[i]
        for j in range(luma.shape[1]):
            found[i, j], share[i, j] = 0, one
            if distance[i, j] < 2 * STEPS_PER_SIGMA:
                continue
            ratio = np.float32(luma[i, j]) / max(row[2, j], one)
            share[i, j] = ratio
            if ratio < np.float32(_DARKEST_SHADOW) or ratio > one:
                continue
            du = np.float32(blue[i, j]) - grey - ratio * (row[3, j] - grey)
            dv = np.float32(red[i, j]) - grey - ratio * (row[4, j] - grey)
            if max(abs(du), abs(dv)) < np.float32(_SHADOW_COLOR):
                found[i, j] = 255


@compiled
def _learn(rate: Any, luma: Any, blue: Any, red: Any, how: Any, state: Any) -> None:
    """Update some rows: match a mode or replace the lightest, adapt it, and keep the modes in order of weight.

    Most points match their first mode: a loop that vectorizes updates these, and marks the others for a second one.
    """
    none, one, known, doubtful = np.float32(0), np.float32(1), np.float32(_KNOWN_AGE), np.float32(_DOUBTFUL_SHARE)
    near, oldest, fastest = np.float32(_MATCHED_SIGMAS**2), np.float32(_OLDEST), np.float32(_FASTEST_VARIANCE)
    least, most, skip, learn = np.float32(_LEAST_VARIANCE), np.float32(_MOST_VARIANCE), np.uint8(SKIP), np.uint8(LEARN)
    height, width = luma.shape
    square, alphas, parts = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    for i in range(height):
        row = state[i]
        for j in range(width):
            dy, du, dv = (
                np.float32(luma[i, j]) - row[2, j],
                np.float32(blue[i, j]) - row[3, j],
                np.float32(red[i, j]) - row[4, j],
            )
            square[j] = dy * dy + du * du + dv * dv
        for j in range(width):
            alphas[j] = max(rate, one / (row[0, j] + one))
        for j in range(width):
            alphas[j] = alphas[j] if row[1, j] > none else none
        for j in range(width):
            alphas[j] = alphas[j] if square[j] < near * row[5, j] else none
        for j in range(width):
            alphas[j] = alphas[j] if how[i, j] != skip else none
        for j in range(width):
            parts[j] = alphas[j] / max(row[1, j] + alphas[j] * (one - row[1, j]), alphas[j])
        for j in range(width):
            parts[j] = parts[j] if alphas[j] > none else none
        for j in range(width):
            row[2, j] += parts[j] * (np.float32(luma[i, j]) - row[2, j])
        for j in range(width):
            row[3, j] += parts[j] * (np.float32(blue[i, j]) - row[3, j])
        for j in range(width):
            row[4, j] += parts[j] * (np.float32(red[i, j]) - row[4, j])
        for j in range(width):
            before = row[5, j]
            share = parts[j] if parts[j] < fastest else fastest
            varied = before + share * (square[j] / np.float32(3) - before)
            varied = varied if varied > least else least
            varied = varied if varied < most else most
            row[5, j] = varied if alphas[j] > none else before
        for j in range(width):
            row[1, j] = row[1, j] * (one - alphas[j]) + alphas[j]
        for j in range(width):
            row[6, j] *= one - alphas[j]
        for j in range(width):
            row[11, j] *= one - alphas[j]
        for j in range(width):
            parts[j] = one if how[i, j] == learn else doubtful
        for j in range(width):
            parts[j] = parts[j] if row[0, j] < known or parts[j] == one else none
        for j in range(width):
            older = row[0, j] + parts[j] if row[0, j] + parts[j] < oldest else oldest
            row[0, j] = older if alphas[j] > none else row[0, j]
        for j in range(width):
            if alphas[j] > none or how[i, j] == skip:
                continue
            y, u, v = np.float32(luma[i, j]), np.float32(blue[i, j]), np.float32(red[i, j])
            age = row[0, j]
            alpha = max(rate, one / (age + one))
            young = age < np.float32(_YOUNG_AGE)
            if how[i, j] == LEARN:
                row[0, j] = min(age + one, oldest)
            elif age < np.float32(_KNOWN_AGE):
                row[0, j] = age + np.float32(_DOUBTFUL_SHARE)
            matched = -1
            for mode in range(1, MODES):
                base = 1 + mode * _MODE_FLOATS
                if row[base, j] <= 0:
                    break
                dy, du, dv = y - row[base + 1, j], u - row[base + 2, j], v - row[base + 3, j]
                far = dy * dy + du * du + dv * dv
                if far < np.float32(_MATCHED_SIGMAS * _MATCHED_SIGMAS) * row[base + 4, j]:
                    matched = mode
                    break
            if not young:
                alpha = max(rate, np.float32(_NEW_SHARE) * alpha)
            if matched < 0:
                matched = MODES - 1
                base = 1 + matched * _MODE_FLOATS
                row[base, j] = 0
                row[base + 1, j], row[base + 2, j], row[base + 3, j] = y, u, v
                row[base + 4, j] = np.float32(_FIRST_VARIANCE)
            else:
                base = 1 + matched * _MODE_FLOATS
                part = alpha / max(row[base, j] + alpha * (one - row[base, j]), alpha)
                dy, du, dv = y - row[base + 1, j], u - row[base + 2, j], v - row[base + 3, j]
                row[base + 1, j] += part * dy
                row[base + 2, j] += part * du
                row[base + 3, j] += part * dv
                spread = (dy * dy + du * du + dv * dv) / np.float32(3) - row[base + 4, j]
                varied = row[base + 4, j] + min(part, np.float32(_FASTEST_VARIANCE)) * spread
                row[base + 4, j] = min(max(varied, np.float32(_LEAST_VARIANCE)), np.float32(_MOST_VARIANCE))
            for mode in range(MODES):
                row[1 + mode * _MODE_FLOATS, j] *= one - alpha
            row[1 + matched * _MODE_FLOATS, j] += alpha
            while matched > 0 and row[1 + matched * _MODE_FLOATS, j] > row[1 + (matched - 1) * _MODE_FLOATS, j]:
                upper, lower = 1 + (matched - 1) * _MODE_FLOATS, 1 + matched * _MODE_FLOATS
                for k in range(_MODE_FLOATS):
                    row[upper + k, j], row[lower + k, j] = row[lower + k, j], row[upper + k, j]
                matched -= 1
