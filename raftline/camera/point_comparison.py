"""One iteration of `direct_alignment` over its points, in one pass each over their places and their design."""

from __future__ import annotations

from typing import Any

import numpy as np

from raftline.camera.luma_pyramid import AlignmentPoints
from raftline.camera.normal_equations import BLOCK
from raftline.camera.robust_weights import TUKEY_SIGMAS
from raftline.kernels.compiled import compiled

_BINS_EACH_LEVEL = 32
"""Bins of residuals for a grey level: with interpolation in a bin, the median is exact to a hundredth of the least
sigma."""
_BINS = 64 * _BINS_EACH_LEVEL
"""Up to 64 grey levels: frames that differ by more in most points do not show the same."""
_MEDIAN_OF_SIGMA = 0.6745
"""Median of the absolute values of a Gaussian, in its sigma."""


class PointComparison:
    """Compares the points of one image with another, under one motion after the other."""

    def __init__(self, points: AlignmentPoints, design: np.ndarray, least_sigma: float) -> None:
        """Begin with points.

        Args:
            points: N points of the one image.
            design: (K, N) float32: change of their values by each parameter; the last is the brightness, 1.
            least_sigma: Grey levels.
        """
        count = len(points.value)
        self._points, self._design, self._least = points, design, least_sigma
        self._difference, self._found = np.empty(count), np.empty(2)
        self._weights, self._residual = np.empty((2, count), np.float32)
        self.normal, self.right = np.empty((len(design), len(design))), np.empty(len(design))
        """Normal equations of the last call, float64 (K, K) and (K,)."""
        self.sigmas: list[float] = []
        """Robust sigma of what was left in each call, grey levels."""

    def __call__(self, image: np.ndarray, matrix: np.ndarray, offsets: np.ndarray) -> int:
        """Compare, weigh, and take the normal equations of what is left.

        Args:
            image: (h, w) float32 grey levels.
            matrix: (3, 3) centred coordinates to px of the image.
            offsets: (E,) float64: the last parameters, whose share is subtracted. The first call sets the brightness to
                the median of the differences.

        Returns:
            Count of points that lie in the image.
        """
        points, least_yet = self._points, min(self.sigmas, default=np.inf)
        _compare(image, points.local, points.value, points.trust, matrix, self._difference, self._weights)
        _weigh(
            self._difference, self._weights, self._design, offsets, not self.sigmas, self._least, least_yet,
            self._residual, self._found, self.normal, self.right,
        )  # fmt: skip
        inside, sigma = self._found.tolist()
        self.sigmas.append(sigma)
        return int(inside)

    def correlation(self) -> float:
        """Return Pearson's correlation of the points in the image with what is there; NaN if one is constant."""
        return _correlation(self._points.value, self._difference, self._weights)


@compiled
def _compare(image: Any, local: Any, value: Any, trust: Any, matrix: Any, difference: Any, weights: Any) -> None:
    """Sample an image float32 (h, w) where `matrix` (3, 3) takes points local (2, N), and subtract `value`.

    Bilinear in float64: `cv2.remap` rounds to 1/32 px, more than the error that is sought. weights: the trust; -1
    outside. `transforms.transform_xy`, spelt out: a kernel cannot call another.
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
