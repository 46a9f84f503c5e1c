"""How the difference between the displayed path and the slow movement goes on and dies away.

What was displayed is never taken back. If it turns out to have been off the slow movement, the path must return to it
without a movement that is seen.

The constants were tuned on several seeds of the clips of `python -m benchmarks.bench_stabilization --parts known`.
"""

from __future__ import annotations

import numpy as np

from raftline.stabilize.path.ridge import Ridge

_VISIBLE_CYCLES, _VISIBLE_ORDER = 5.0 / 3.0, 8
"""In cycles of the cutoff, where movement begins to be seen as unsteady, and the order of that limit: half at it."""
_FASTEST_CYCLES = 2.5
"""Fastest sine, in cycles of the cutoff."""
_HALF_PERIOD_CYCLES = 3.6
"""Half period of the slowest sine, in cycles of the cutoff, where the samples do not span more."""
_OFFSET_COST = 4e-4
"""Cost of an offset, in that of as much movement that is seen: the smaller, the more slowly an offset goes."""
_FREE_PX = 1000.0
"""Offset that a path may begin with at next to no cost."""


def tail_prediction(
    times: np.ndarray, apart: np.ndarray, at: np.ndarray, cutoff_hz: float, seconds: np.ndarray, begins: bool
) -> np.ndarray:
    """Predict how a difference goes on, with the least movement that is seen, and to nothing in the end.

    It is taken for a Gaussian process whose power per Hz is one over the cost of its movement.

    Args:
        times: (N,) s, growing.
        apart: (N, D) px: the difference at these times.
        at: (M,) s: times to predict it for.
        cutoff_hz: Movement slower than this is slow.
        seconds: (N,) time that each sample stands for.
        begins: The path begins with `times`, and nothing is seen before. The process is then continued there as an odd
            function about its first value, which leaves sines alone.

    Returns:
        (M, D) px.
    """
    half = max(_HALF_PERIOD_CYCLES / cutoff_hz, float(at[-1] - times[0]))
    hz = np.arange(1, int(2.0 * _FASTEST_CYCLES * cutoff_hz * half) + 1) / (2.0 * half)
    heights = _amplitudes(hz, cutoff_hz) / np.sqrt(half)
    level = _amplitudes(np.zeros(1), cutoff_hz) / np.sqrt(2.0 * half)

    def shapes(moments: np.ndarray) -> np.ndarray:
        angle = 2.0 * np.pi * (moments - times[0])[:, None] * hz
        one = np.ones((len(moments), 1))
        if begins:
            return np.hstack([one * _FREE_PX, np.sin(angle) * np.sqrt(2.0) * heights])
        return np.hstack([one * level, np.sin(angle) * heights, np.cos(angle) * heights])

    root, each_alone = np.sqrt(seconds)[:, None], np.eye(apart.shape[1])
    return shapes(at) @ Ridge.of(root * shapes(times))(root * apart, np.ones(1), each_alone)[0]


def _amplitudes(hz: np.ndarray, cutoff_hz: float) -> np.ndarray:
    """Return the standard deviation of a sine of each frequency (K,); what its power leaves out is white noise."""
    limit = (hz / (_VISIBLE_CYCLES * cutoff_hz)) ** _VISIBLE_ORDER
    cost = (limit / (1.0 + limit)) ** 2 + _OFFSET_COST
    return np.sqrt(1.0 / cost - 1.0 / (1.0 + _OFFSET_COST))
