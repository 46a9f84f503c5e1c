"""What the camera shows where nothing moves: a mixture of Gaussians in color at each point, learned frame by frame.

After Stauffer and Grimson (1999) and Zivkovic (2004), with three differences: the illumination may change as a whole
without the background changing, what moves is not learned, and the model may be shifted under a camera that pans.
Numbers without a source were chosen by hand; `python -m benchmarks.bench_motion_masks` shows their effect.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import cv2
import numpy as np

from raftline.camera.transforms import transform_xy
from raftline.masks.illumination import IlluminationChange
from raftline.masks.mixture_kernels import (
    DOUBT,
    KNOWN_AGE,
    LEARN,
    POINT_FLOATS,
    SKIP,
    STEPS_PER_SIGMA,
    learn_first,
    learn_left,
    measure,
    recolor,
    relight,
    shade,
)
from raftline.masks.row_threads import by_rows

__all__ = ["DOUBT", "LEARN", "SKIP", "STEPS_PER_SIGMA", "GaussianMixture"]

_UNEVEN_SHARE = 0.08
"""Deviation over 5x5 points of the share of light that is left: more is a thing, not a shadow."""


class GaussianMixture:
    """The model on a grid of (h, w) points."""

    def __init__(self, rows: int, columns: int, memory_seconds: float) -> None:
        """Begin with nothing known. memory_seconds: time constant of learning."""
        self._state = np.zeros((rows, POINT_FLOATS, columns), np.float32)
        """Each number of a row's points lies together: most points need few of them, and many at once."""
        self._memory_seconds = memory_seconds
        # New memory for each frame would cost as much as what is done with it.
        self._planes = [np.empty((rows, columns), np.uint8) for _ in range(3)]
        self._image: np.ndarray | None = None
        """Whose planes they are: that of the last `mahalanobis`, as a rule."""
        self._left = np.zeros((rows, columns), bool)
        self._no_tolerance = np.zeros((rows, columns), np.uint8)
        self._darker, self._share = np.zeros((rows, columns), np.uint8), np.ones((rows, columns), np.float32)

    def full_state(self) -> np.ndarray:
        """All that was learned, float32 (h, n, w): not a copy."""
        return self._state

    def restore_full(self, state: np.ndarray) -> None:
        """Go on exactly where `full_state` was taken."""
        self._state = state

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
        by_rows(measure, *self._split(image), more, self._state, found, known)
        return found, known

    def sampled(self, every: int) -> tuple[np.ndarray, np.ndarray]:
        """The likeliest colors of every few points, float32 (h', w', 3), and where they are known, bool (h', w')."""
        points = self._state[every // 2 :: every, :, every // 2 :: every]
        return np.moveaxis(points[:, 2:5], 1, 2), points[:, 0] >= KNOWN_AGE

    def shadows(self, image: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """bool (h, w): where the background lies in shadow: of the same color, darker by one share all around.

        After Cucchiara et al. (2003), in luma and chroma; the share tells what is dark and colorless itself, in a
        colorless image too.

        Args:
            image: uint8 (h, w, 3).
            distance: `mahalanobis` of the same image; points of less than 2 sigma are not looked at.
        """
        darker, share = self._darker, self._share
        by_rows(shade, *self._split(image), distance, self._state, darker, share)
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
        parts = (*self._split(image), how, self._state, self._left)
        by_rows(functools.partial(learn_first, np.float32(rate)), *parts)
        by_rows(functools.partial(learn_left, np.float32(rate)), *parts)

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
        return self._state[:, 0] >= KNOWN_AGE

    def forget(self) -> None:
        """Begin anew."""
        self._state[:] = 0.0

    def follow(self, change: IlluminationChange) -> None:
        """The illumination changed: all colors are now what `change` says of them."""
        if change.curves is not None:
            by_rows(functools.partial(relight, change.curves.astype(np.float64)), self._state)
        if change.colors is not None:
            by_rows(functools.partial(recolor, change.colors.astype(np.float64)), self._state)

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
