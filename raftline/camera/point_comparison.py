"""The iterations of `direct_alignment` over its points: in one pass each over their places and their design."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from raftline.camera.luma_pyramid import AlignmentPoints
from raftline.camera.normal_equations import BLOCK, invert
from raftline.camera.robust_weights import TUKEY_SIGMAS
from raftline.kernels.compiled import compiled

_BINS_EACH_LEVEL = 32
"""Bins of residuals for a grey level: with interpolation in a bin, the median is exact to a hundredth of the least
sigma."""
_BINS = 64 * _BINS_EACH_LEVEL
"""Up to 64 grey levels: frames that differ by more in most points do not show the same."""
_MEDIAN_OF_SIGMA = 0.6745
"""Median of the absolute values of a Gaussian, in its sigma."""


_SETTLED, _FEW, _ILL = range(3)
"""What iterations end with: a small step or enough of them, too few points, a matrix without an inverse."""


@dataclass(frozen=True)
class Limits:
    """What iterations end at."""

    iterations: int
    converged_px: float
    """Step of all parameters of the motion."""
    least_points: int
    """Points that must lie in the other image."""
    most_condition: float
    """Of the normal matrix."""


class PointComparison:
    """Compares the points of one image with another, under one motion after the other."""

    def __init__(self, points: AlignmentPoints, design: np.ndarray, basis: np.ndarray, least_sigma: float) -> None:
        """Begin with points.

        Args:
            points: N points of the one image.
            design: (K, N) float32: change of their values by each parameter; the last is the brightness, 1.
            basis: (M, 3, 3): what the first parameters add to the motion, see `PlaneModel.basis`.
            least_sigma: Grey levels.
        """
        count, parameters = len(points.value), len(design)
        self._points, self._design, self._basis, self._least = points, design, basis, least_sigma
        self._difference, self._found = np.empty(count), np.empty(2)
        self._weights, self._residual = np.empty((2, count), np.float32)
        self.normal, self.inverse = np.empty((2, parameters, parameters))
        self.right, self.offsets = np.empty(parameters), np.zeros(parameters - len(basis))
        """Of the normal equations under the last motion, and the other parameters, float64."""
        self.sigmas: list[float] = []
        """Robust sigma of what was left under each motion, grey levels."""

    @property
    def covariance(self) -> np.ndarray:
        """(M, M) px² of the parameters of the motion."""
        moves = len(self._basis)
        return self.inverse[:moves, :moves] * self.sigmas[-1] ** 2

    def settle(self, image: np.ndarray, to_px: np.ndarray, unit_px: float, warp: np.ndarray, limits: Limits) -> bool:
        """Find the motion under which the points differ least.

        The other parameters begin at 0, and the brightness at the median of the differences.

        Args:
            image: (h, w) float32 grey levels.
            to_px: (3, 3) centred coordinates to px of the image.
            unit_px: Of centred coordinates.
            warp: (3, 3) of centred coordinates: the motion to begin with; set to the one that is found.
            limits: When to end.

        Returns:
            False if the points do not determine it.
        """
        points, sigmas, done, outcome = self._points, np.empty(limits.iterations), 0, _ILL
        while outcome == _ILL and done < limits.iterations:
            done, outcome = _settle(
                image, points.local, points.value, points.trust, self._design, self._basis, to_px, unit_px, warp,
                self.offsets, limits.iterations, limits.converged_px, limits.least_points, limits.most_condition,
                self._least, self._difference, self._weights, self._residual, self._found, self.normal, self.right,
                self.inverse, sigmas, done,
            )  # fmt: skip
            self.sigmas = sigmas[:done].tolist()
            if outcome == _ILL and not self._moves_by_pseudoinverse(unit_px, warp, limits):
                return False
        return outcome != _FEW

    def _moves_by_pseudoinverse(self, unit_px: float, warp: np.ndarray, limits: Limits) -> bool:
        """Gain and brightness may be hard to tell apart; return whether the motion is not."""
        moves = len(self._basis)
        if not np.linalg.cond(self.normal[:moves, :moves]) < limits.most_condition:
            return False
        self.inverse[:] = np.linalg.pinv(self.normal)
        _step(self._basis, unit_px, self.inverse, self.right, warp, self.offsets)
        return True

    def correlation(self) -> float:
        """Return Pearson's correlation of the points in the image with what is there; NaN if one is constant."""
        return _correlation(self._points.value, self._difference, self._weights)


@compiled
def _step(basis: Any, unit_px: Any, inverse: Any, right: Any, warp: Any, offsets: Any) -> Any:
    """Take the step of normal equations from `warp` (3, 3) and `offsets` (E,); return its largest parameter, px."""
    moves = basis.shape[0]
    a, largest = np.zeros((3, 3)), 0.0
    a[0, 0] = a[1, 1] = a[2, 2] = 1.0
    for k in range(right.size):
        step = 0.0
        for j in range(right.size):
            step += inverse[k, j] * right[j]
        if k >= moves:
            offsets[k - moves] += step
            continue
        largest = max(largest, abs(step))
        for i in range(3):
            for j in range(3):
                a[i, j] += step / unit_px * basis[k, i, j]
    back, before = np.empty((3, 3)), warp.copy()
    for i in range(3):
        for j in range(3):  # the adjugate: rows and columns in cyclic order spare the signs
            m, n, p, q = (j + 1) % 3, (j + 2) % 3, (i + 1) % 3, (i + 2) % 3
            back[i, j] = a[m, p] * a[n, q] - a[m, q] * a[n, p]
    determinant = a[0, 0] * back[0, 0] + a[0, 1] * back[1, 0] + a[0, 2] * back[2, 0]
    for i in range(3):
        for j in range(3):
            total = before[i, 0] * back[0, j] + before[i, 1] * back[1, j] + before[i, 2] * back[2, j]
            warp[i, j] = total / determinant
    return largest


@compiled
def _settle(
    image: Any, local: Any, value: Any, trust: Any, design: Any, basis: Any, to_px: Any, unit_px: Any, warp: Any,
    offsets: Any, iterations: Any, converged_px: Any, least_points: Any, most_condition: Any,
    least: Any, difference: Any, weights: Any, residual: Any, found: Any, normal: Any, right: Any,
    inverse: Any, sigmas: Any, done: Any,
) -> Any:  # fmt: skip
    """Iterate from `warp` on; return the count of iterations so far, and what they ended with."""
    matrix = np.empty((3, 3))
    while done < iterations:
        for i in range(3):
            for j in range(3):
                matrix[i, j] = to_px[i, 0] * warp[0, j] + to_px[i, 1] * warp[1, j] + to_px[i, 2] * warp[2, j]
        _compare(image, local, value, trust, matrix, difference, weights)
        least_yet = np.inf
        for n in range(done):
            least_yet = min(least_yet, sigmas[n])
        _weigh(difference, weights, design, offsets, done == 0, least, least_yet, residual, found, normal, right)
        if found[0] < least_points:
            return done, _FEW
        sigmas[done] = found[1]
        done += 1
        if not invert(normal, inverse) < most_condition:
            return done, _ILL
        if _step(basis, unit_px, inverse, right, warp, offsets) < converged_px:
            break
    return done, _SETTLED


@compiled
def _compare(image: Any, local: Any, value: Any, trust: Any, matrix: Any, difference: Any, weights: Any) -> None:
    """Sample an image float32 (h, w) where `matrix` (3, 3) takes points local (2, N), and subtract `value`.

    Bilinear in float64: `cv2.remap` rounds to 1/32 px, more than the error that is sought. weights: the trust; -1
    outside. `transforms.transform_xy`, spelt out.
    """
    height, width = image.shape
    for n in range(value.size):
        x, y = local[0, n], local[1, n]
        away = 1.0 / (matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2])
        to_x = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]) * away
        to_y = (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]) * away
        if not (to_x > 0 and to_x < width - 1 and to_y > 0 and to_y < height - 1):
            difference[n], weights[n] = 0.0, -1.0
            continue
        j, i = np.uint32(to_x), np.uint32(to_y)
        x, y = to_x - j, to_y - i
        upper = image[i, j] * (1.0 - x) + image[i, j + np.uint32(1)] * x
        lower = image[i + np.uint32(1), j] * (1.0 - x) + image[i + np.uint32(1), j + np.uint32(1)] * x
        difference[n] = upper * (1.0 - y) + lower * y - value[n]
        weights[n] = trust[n]


@compiled(fastmath={"reassoc", "contract"})
def _weigh(
    difference: Any, weights: Any, design: Any, offsets: Any, brightness: Any, least: Any, least_yet: Any,
    residual: Any, found: Any, normal: Any, right: Any,
) -> None:  # fmt: skip
    """Take what is left of differences (N,), its sigma, and the normal equations under Tukey's weights."""
    points, count, free = difference.size, design.shape[0], design.shape[0] - offsets.size
    inside = 0
    for n in range(points):
        inside += weights[n] >= 0.0
    bins = np.zeros(2 * _BINS, np.int32)
    if brightness:
        for n in range(points):
            at = int(min(max((difference[n] * _BINS_EACH_LEVEL) + _BINS, 0.0), 2.0 * _BINS - 1.0))
            bins[at] += weights[n] >= 0.0
        at, below = 0, 0
        while at < 2 * _BINS - 1 and 2 * (below + bins[at]) < inside:
            below += bins[at]
            at += 1
        part = (0.5 * inside - below) / max(bins[at], 1)
        offsets[-1] = (at + part - _BINS) / _BINS_EACH_LEVEL
        bins[:] = 0
    for n in range(points):
        residual[n] = np.float32(difference[n])
    for k in range(offsets.size):
        factor = np.float32(offsets[k])
        for n in range(points):
            residual[n] -= design[free + k, n] * factor
    counted = 0
    for n in range(points):
        at = np.int32(min(abs(residual[n]) * np.float32(_BINS_EACH_LEVEL), np.float32(_BINS - 1)))
        counts = weights[n] > 0.0
        bins[at] += counts
        counted += counts
    at, below = 0, 0
    while at < _BINS - 1 and 2 * (below + bins[at]) < counted:
        below += bins[at]
        at += 1
    part = (0.5 * counted - below) / max(bins[at], 1)
    sigma = max((at + part) / _BINS_EACH_LEVEL / _MEDIAN_OF_SIGMA, least)
    found[0], found[1] = inside, sigma
    reach = np.float32(1.0 / (TUKEY_SIGMAS * min(sigma, least_yet)) ** 2)
    normal[:] = 0.0
    right[:] = 0.0
    robust, weighted = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
    for first in range(0, points, BLOCK):
        here = min(BLOCK, points - first)
        left, trust = residual[first : first + here], weights[first : first + here]
        for n in range(here):
            near = max(np.float32(1.0) - left[n] * left[n] * reach, np.float32(0.0))
            robust[n] = max(trust[n], np.float32(0.0)) * near * near
        for i in range(count):
            row = design[i, first : first + here]
            total = np.float32(0.0)
            for n in range(here):
                weighted[n] = row[n] * robust[n]
                total += weighted[n] * left[n]
            right[i] += total
            for j in range(i + 1):
                other = design[j, first : first + here]
                total = np.float32(0.0)
                for n in range(here):
                    total += weighted[n] * other[n]
                normal[i, j] += total
    for i in range(count):
        for j in range(i):
            normal[j, i] = normal[i, j]


@compiled
def _correlation(value: Any, difference: Any, weights: Any) -> Any:
    """Correlate values (N,) with value + difference, where the weight is not negative."""
    inside, mean, mean_difference = 0, 0.0, 0.0
    for n in range(value.size):
        if weights[n] >= 0.0:
            inside += 1
            mean += value[n]
            mean_difference += difference[n]
    mean, mean_difference = mean / max(inside, 1), mean_difference / max(inside, 1)
    both = ones = others = 0.0
    for n in range(value.size):
        if weights[n] >= 0.0:
            one = value[n] - mean
            other = one + difference[n] - mean_difference
            both += one * other
            ones += one * one
            others += other * other
    return both / np.sqrt(ones * others)
