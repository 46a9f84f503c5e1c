"""Which of a clip's movement is intended: chosen by what lies between slow movement and shake in its spectrum."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raftline.camera.transforms import SHIFTS
from raftline.stabilize.path.path_smoothing import CameraPath, accumulate, own_frames
from raftline.stabilize.path.slow_movement import gap_likelihood_ratio

INTENDED_HZ = 0.6
"""Cutoff of a clip whose spectrum has a gap between slow movement and shake: cycles of 1.7 s or more are intended.

Chosen by hand; `--parts known` of `python -m benchmarks.bench_stabilization` moves below 0.5 Hz.
"""
SWAY_HZ = 0.3
"""Cutoff of a clip without such a gap: a hand that only holds the camera sways at all frequencies alike.

With 0.3 instead of 0.6 Hz the stability of handheld clips rose from 0.868 to 0.890 and from 0.777 to 0.835
(`python -m benchmarks.bench_stabilization --parts real`, meshflow-3 and meshflow-8).
"""
_SURE = 10.0
"""Log likelihood ratio by which a spectrum without a gap must win, along x and along y.

Pans, zooms and fixed cameras that shake at 1-8 Hz: -3 to -16; four handheld clips: 180 to 915. A pan that sets out and
stops has no gap either, but along one axis.
"""


def choose_cutoff(runs: Sequence[CameraPath]) -> float:
    """Return the frequency, Hz, below which camera movement is intended in the clip that these runs make up."""
    ratio = np.zeros(len(SHIFTS))
    for run in runs:
        own = own_frames(run)
        ratio += gap_likelihood_ratio(run.times[own], accumulate(run.motions)[own][:, SHIFTS], INTENDED_HZ)
    return SWAY_HZ if ratio.max() < -_SURE else INTENDED_HZ
