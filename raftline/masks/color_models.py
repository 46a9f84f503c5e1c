"""How likely each color is inside of a region, against around it, in one frame: needs no memory and no registration.

The colors are counted in two histograms (Swain and Ballard 1991), as in GrabCut's data term (Rother et al. 2004),
which fits mixtures instead. Numbers without a source were chosen by hand; `python -m benchmarks.bench_motion_masks`
shows their effect.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from raftline.kernels.compiled import compiled

INSIDE, AROUND = 1, 2
"""Of `color_log_ratio`'s `kind`: what each point is an example of; 0: of neither."""

_BINS = 16
_LUMA_SHIFT, _CHROMA_SHIFT = 4, 3
"""Bins of 16 levels of luma, and of 8 of chroma, which varies less."""
_CHROMA_FIRST = 64
"""Level at which chroma's bins begin: the few colors that lie farther from grey share the outer bins."""
_NEIGHBOUR = 0.5
"""Of its count that a bin gives to each neighbour: noise, and light that is not the same everywhere."""
_UNSEEN = 0.001
"""Share of the examples that every color has at least: what was never seen tells nothing."""
_MOST = 3.0
"""Of the logarithm, either way: one color alone decides nothing."""


def color_log_ratio(image: np.ndarray, kind: np.ndarray) -> np.ndarray:
    """Tell at each point how much likelier its color is inside than around.

    Args:
        image: uint8 (h, w, 3), luma and two of chroma.
        kind: uint8 (h, w) of `INSIDE`, `AROUND` and 0.

    Returns:
        float32 (h, w), the natural logarithm of the ratio, within -3 to 3.
    """
    side = _BINS + 2  # bins lie within a rim of empty ones
    places = np.empty(kind.shape, np.uint16)
    counts, ratios = np.zeros((2, side, side, side), np.float32), np.zeros((side, side, side), np.float32)
    _place(image, places)
    _tally(places, kind, counts.reshape(2, -1))
    _compare(counts, ratios)
    return ratios.reshape(-1).take(places)


@compiled
def _place(image: Any, places: Any) -> None:
    """Number of the bin of each point's color, those of the rim counted."""
    for i in range(places.shape[0]):
        for j in range(places.shape[1]):
            y = image[i, j, 0] >> _LUMA_SHIFT
            u = min(max((np.int64(image[i, j, 1]) - _CHROMA_FIRST) >> _CHROMA_SHIFT, 0), _BINS - 1)
            v = min(max((np.int64(image[i, j, 2]) - _CHROMA_FIRST) >> _CHROMA_SHIFT, 0), _BINS - 1)
            places[i, j] = ((y + 1) * (_BINS + 2) + u + 1) * (_BINS + 2) + v + 1


@compiled
def _tally(places: Any, kind: Any, counts: Any) -> None:
    """Count the colors of both kinds."""
    for i in range(kind.shape[0]):
        for j in range(kind.shape[1]):
            if kind[i, j] > 0:
                counts[kind[i, j] - 1, places[i, j]] += np.float32(1)


@compiled
def _compare(counts: Any, ratios: Any) -> None:
    """The logarithm of the ratio of the two shares of each bin, each with a part of its neighbours'."""
    scales, shares, part = np.zeros(2, np.float32), np.zeros(2, np.float32), np.float32(_NEIGHBOUR)
    for which in range(2):
        total = np.float32(0)
        for y in range(1, _BINS + 1):  # the method `sum` would load scipy.linalg
            for u in range(1, _BINS + 1):
                for v in range(1, _BINS + 1):
                    total += counts[which, y, u, v]
        scales[which] = np.float32(1) / max(total * (np.float32(1) + np.float32(6) * part), np.float32(1))
    for y in range(1, _BINS + 1):
        for u in range(1, _BINS + 1):
            for v in range(1, _BINS + 1):
                for which in range(2):
                    count = counts[which]
                    beside = count[y - 1, u, v] + count[y + 1, u, v] + count[y, u - 1, v] + count[y, u + 1, v]
                    beside += count[y, u, v - 1] + count[y, u, v + 1]
                    shares[which] = (count[y, u, v] + part * beside) * scales[which] + np.float32(_UNSEEN)
                if shares[0] != shares[1]:  # most colors are nowhere
                    ratio = np.log(shares[0] / shares[1])
                    ratios[y, u, v] = min(max(ratio, np.float32(-_MOST)), np.float32(_MOST))
