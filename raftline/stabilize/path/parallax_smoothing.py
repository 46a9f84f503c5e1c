"""The gains of a parallax mesh over a whole clip: what `raftline.camera.parallax` measured, in time and smooth.

The constants were chosen by hand; `python -m benchmarks.bench_stabilization --parts known --only two_layers` shows
their effect.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raftline.stabilize.path.path_smoothing import smooth_envelope

_DELAY_SECONDS = 0.7
"""How late a measured gain is on average: measuring looks back about a second."""
_SIGMA_SECONDS = 0.6
"""Of the Gaussian over which gains are averaged."""
_AROUND_SECONDS = 1.2
"""How long a mesh stays before and after the data support it; it fades over as long again."""


def smooth_gains(times: np.ndarray, measured: Sequence[np.ndarray | None]) -> list[np.ndarray | None]:
    """Smooth the gains of a run.

    A mesh is there from a second before the data support it until a second after, and fades in and out.

    Args:
        times: (N,) s.
        measured: N times (rows, columns) gains, or None where the data support one plane alone.

    Returns:
        N times (rows, columns) float64, or None where there is no mesh.
    """
    has = np.array([gains is not None for gains in measured], bool)
    if not has.any():
        return [None] * len(measured)
    known = np.stack([gains for gains in measured if gains is not None])
    when = times[has] - _DELAY_SECONDS
    strength = smooth_envelope(times, has.astype(np.float64), _AROUND_SECONDS)
    smooth: list[np.ndarray | None] = []
    for time, share in zip(times, strength, strict=True):
        if share <= 0.0:
            smooth.append(None)
            continue
        away = (when - np.clip(time, when[0], when[-1])) / _SIGMA_SECONDS
        kernel = np.exp(-0.5 * (away**2 - (away**2).min()))
        smooth.append(share * np.tensordot(kernel / kernel.sum(), known, 1))
    return smooth
