"""Gains of a mesh over a whole clip: what was measured frame by frame, with what came before, made smooth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raftline.stabilize.path.path_smoothing import smooth_envelope

_LATE_SECONDS = 0.7
"""How long before it was measured a gain held, on the average: measuring looks back about a second."""
_REACH_SECONDS = 0.6
"""Over which gains are averaged (a Gaussian's sigma)."""
_AROUND_SECONDS = 1.2
"""How long a mesh holds before and after it was borne out; it comes and goes over as long again."""


def smooth_gains(times: np.ndarray, measured: Sequence[np.ndarray | None]) -> list[np.ndarray | None]:
    """Gains (rows, columns) for each of the times (N,) s; None where there is but the plane.

    A mesh is there from a second before the data bore it out until as long after, and comes and goes smoothly.
    """
    has = np.array([gains is not None for gains in measured], bool)
    if not has.any():
        return [None] * len(measured)
    known = np.stack([gains for gains in measured if gains is not None])
    when = times[has] - _LATE_SECONDS
    strength = smooth_envelope(times, has.astype(np.float64), _AROUND_SECONDS)
    smooth: list[np.ndarray | None] = []
    for time, share in zip(times, strength, strict=True):
        if share <= 0.0:
            smooth.append(None)
            continue
        away = (when - np.clip(time, when[0], when[-1])) / _REACH_SECONDS
        kernel = np.exp(-0.5 * (away**2 - (away**2).min()))
        smooth.append(share * np.tensordot(kernel / kernel.sum(), known, 1))
    return smooth
