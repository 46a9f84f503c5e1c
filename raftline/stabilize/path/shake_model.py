"""What shake looks like: how its samples go together in time, so that slow movement can be told from it.

Were shake white noise, the last sway of a hand would pass for the begin of a movement. At the ends of a shot,
and in the last half second that a live stabilizer knows, that is the greatest error. A hand shakes at 1 to 8 Hz.
"""

from __future__ import annotations

import numpy as np

_TO_HZ, _END_HZ = 8.0, 15.0
"""A hand's shake ends about here; what is left beyond."""
_FROM_CYCLES, _LIMIT_CYCLES = 5.0 / 6.0, 1.6
"""In cycles of the cutoff, from where to where a gap may lie between movement that is meant and shake."""
BETWEEN = (0.01, 1.0)
"""Power per Hz in it, in that of shake: a gap, or none, as in what is filmed by a hand that follows nothing."""
_BEYOND = 0.1
"""The same beyond a hand's shake.

Exact motions of a pan cut into shots of 5 s, three of them, J: 0.05 px; 0.06 with 0.05 for all in place of `BETWEEN`,
0.08 with white noise. Shake that falls with the frequency, or 30 times the noise, change little.
"""
_NOISE = 1e-3
"""Power per Hz of white noise: what is measured wrong."""


def shake_covariance(times: np.ndarray, seconds: np.ndarray, cutoff_hz: float, between: float) -> np.ndarray:
    """(N, N): of shake of power 1 per Hz at `times` (N,) s, each sample standing for `seconds` (N,).

    between: power per Hz just above the cutoff, one of `BETWEEN`.
    """
    hz, step = np.array(_steps(cutoff_hz, between)).T
    angles = 2.0 * np.pi * np.outer(times, hz)
    across = (np.sin(angles) * step) @ np.cos(angles).T  # sin(a - b) = sin a cos b - cos a sin b
    apart = 2.0 * np.pi * (times[:, None] - times)
    np.fill_diagonal(apart, 1.0)
    total = (across - across.T) / apart
    np.fill_diagonal(total, hz @ step + _NOISE / seconds)
    return total


def _steps(cutoff_hz: float, between: float) -> tuple[tuple[float, float], ...]:
    """Where the power per Hz changes, in Hz, and how much less it is above."""
    limit_hz = _LIMIT_CYCLES * cutoff_hz
    to_hz, end_hz = max(_TO_HZ, 2.0 * limit_hz), max(_END_HZ, 3.0 * limit_hz)
    return (
        (_FROM_CYCLES * cutoff_hz, -between),
        (limit_hz, between - 1.0),
        (to_hz, 1.0 - _BEYOND),
        (end_hz, _BEYOND),
    )
