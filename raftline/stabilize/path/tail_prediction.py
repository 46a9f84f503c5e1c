"""How what was shown beside the slow movement, and is never taken back, goes on and dies away."""

from __future__ import annotations

import numpy as np

from raftline.stabilize.path.ridge import Ridge

_SEEN_CYCLES, _SEEN_ORDER = 5.0 / 3.0, 8
"""In cycles of a cutoff, above which movement is seen as unsteady, and how sharp that limit is: half at the limit."""
_FADING_CYCLES = 2.5
"""Of a cutoff: the fastest sine by which a distance goes on."""
_HALF_PERIOD_CYCLES = 3.6
"""Of the slowest sine, in cycles of the cutoff, where the samples do not span more."""
_DISTANCE_COST = 4e-4
"""Of being apart, in that of as much movement that is seen: small, a distance goes the more slowly."""
_FREE_PX = 1000.0
"""A distance that a path may begin with at next to no cost."""


def tail_prediction(
    times: np.ndarray, apart: np.ndarray, at: np.ndarray, cutoff_hz: float, seconds: np.ndarray, begins: bool
) -> np.ndarray:
    """How a distance (N, D) at `times` (N,) s, each standing for `seconds` (N,), goes on at `at` (M,) s: (M, D).

    With the least movement that is seen, and to nothing once it is left to itself: as a process would do whose power
    per Hz is one over what its movement costs. Where the path `begins` with `times`, nothing is seen before: the
    picture is taken to come from the other way about, which makes all of it sines that begin with the path.
    """
    half = max(_HALF_PERIOD_CYCLES / cutoff_hz, float(at[-1] - times[0]))
    hz = np.arange(1, int(2.0 * _FADING_CYCLES * cutoff_hz * half) + 1) / (2.0 * half)
    heights = _heights(hz, cutoff_hz) / np.sqrt(half)
    level = _heights(np.zeros(1), cutoff_hz) / np.sqrt(2.0 * half)

    def shapes(moments: np.ndarray) -> np.ndarray:
        angle = 2.0 * np.pi * (moments - times[0])[:, None] * hz
        one = np.ones((len(moments), 1))
        if begins:
            return np.hstack([one * _FREE_PX, np.sin(angle) * np.sqrt(2.0) * heights])
        return np.hstack([one * level, np.sin(angle) * heights, np.cos(angle) * heights])

    root, each_alone = np.sqrt(seconds)[:, None], np.eye(apart.shape[1])
    return shapes(at) @ Ridge.of(root * shapes(times))(root * apart, np.ones(1), each_alone)[0]


def _heights(hz: np.ndarray, cutoff_hz: float) -> np.ndarray:
    limit = (hz / (_SEEN_CYCLES * cutoff_hz)) ** _SEEN_ORDER
    cost = (limit / (1.0 + limit)) ** 2 + _DISTANCE_COST
    return np.sqrt(1.0 / cost - 1.0 / (1.0 + _DISTANCE_COST))  # the rest of it is white noise
