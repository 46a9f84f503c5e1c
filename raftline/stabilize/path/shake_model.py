"""The covariance of shake over time, which separates it from slow movement.

If shake were taken for white noise, the last sway of a hand would pass for the start of a movement. At the ends of a
shot, and in the last half second that a live stabilizer knows, that is the greatest error. A hand shakes at 1 to 8 Hz.

Constants without another reason were tuned on the clips of `python -m benchmarks.bench_stabilization --parts known`.
"""

from __future__ import annotations

import numpy as np

_TO_HZ, _END_HZ = 8.0, 15.0
"""Where a hand's shake ends, about, and where what is left beyond it does."""
_FROM_CYCLES, _LIMIT_CYCLES = 5.0 / 6.0, 1.6
"""In cycles of the cutoff, from where to where there may be a gap between intended movement and shake."""
GAP_POWERS = (0.01, 1.0)
"""Power per Hz there, relative to shake: a gap; or none, as in clips of a hand that follows nothing."""
_POWER_BEYOND = 0.1
"""Power per Hz beyond a hand's shake, relative to shake.

Jitter with the exact motions of three shots of 5 s of a pan: 0.05 px; 0.06 with one power of 0.05 in place of
`GAP_POWERS`, 0.08 with white noise. Shake that falls with the frequency, or 30 times the noise, changes little.
"""
_NOISE_POWER = 1e-3
"""Power per Hz of white noise, relative to shake: errors of measurement."""


def shake_covariance(times: np.ndarray, seconds: np.ndarray, cutoff_hz: float, gap_power: float) -> np.ndarray:
    """Return the covariance of shake of power 1 per Hz: of a spectrum that is constant in bands.

    Args:
        times: (N,) s.
        seconds: (N,) time that each sample stands for.
        cutoff_hz: Intended movement is slower than this.
        gap_power: Power per Hz just above the cutoff, one of `GAP_POWERS`.

    Returns:
        (N, N) float64.
    """
    hz, step = np.array(_steps(cutoff_hz, gap_power)).T
    angles = 2.0 * np.pi * np.outer(times, hz)
    crossed = (np.sin(angles) * step) @ np.cos(angles).T  # sin(a - b) = sin a cos b - cos a sin b
    apart = 2.0 * np.pi * (times[:, None] - times)
    np.fill_diagonal(apart, 1.0)
    total = (crossed - crossed.T) / apart
    np.fill_diagonal(total, hz @ step + _NOISE_POWER / seconds)
    return total


def _steps(cutoff_hz: float, gap_power: float) -> tuple[tuple[float, float], ...]:
    """Return where the power per Hz changes, in Hz, and by how much it falls there."""
    limit_hz = _LIMIT_CYCLES * cutoff_hz
    to_hz, end_hz = max(_TO_HZ, 2.0 * limit_hz), max(_END_HZ, 3.0 * limit_hz)
    return (
        (_FROM_CYCLES * cutoff_hz, -gap_power),
        (limit_hz, gap_power - 1.0),
        (to_hz, 1.0 - _POWER_BEYOND),
        (end_hz, _POWER_BEYOND),
    )
