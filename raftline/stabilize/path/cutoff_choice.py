"""Which of a clip's movement is intended: chosen by what lies between slow movement and shake in its spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from raftline.camera.transforms import SHIFTS
from raftline.stabilize.choices import Method
from raftline.stabilize.path.path_smoothing import (
    ZOOM_TO_USE,
    CameraPath,
    PathLimits,
    accumulate,
    own_frames,
    smooth_clip,
)
from raftline.stabilize.path.slow_movement import gap_likelihood_ratio
from raftline.stabilize.warp.crop import USUAL_ZOOM

INTENDED_HZ = 0.6
"""Cutoff of a clip whose spectrum has a gap between slow movement and shake: cycles of 1.7 s or more are intended.

Chosen by hand; `--parts known` of `python -m benchmarks.bench_stabilization` moves below 0.5 Hz.
"""
SWAY_HZ = 0.3
"""Cutoff of a clip without such a gap: a hand that only holds the camera sways at all frequencies alike.

With 0.3 instead of 0.6 Hz the stability of handheld clips rose from 0.868 to 0.890 and from 0.777 to 0.835
(`python -m benchmarks.bench_stabilization --parts real`, meshflow-3 and meshflow-8).
"""
_SURE = 20.0
"""Log likelihood ratio by which a spectrum without a gap must win, along both axes of the movement.

Pans, zooms and fixed cameras that shake at 1-8 Hz: at most 1; four handheld clips: 117 to 670. A pan that sets out and
stops has no gap either, but along one axis.
"""
_LIKELY = 1.0
"""Log likelihood ratio by which a spectrum without a gap is the likelier one, but not for sure.

A hundred frames tell little: of 16 pieces of 100 and 150 frames of four handheld clips, 3 are above 20, 11 between 1
and 20, and two at -0.4 and -0.6. Of the benchmark's pans, zooms and fixed cameras, of 45 to 300 frames and 4 seeds, one
is at 1.1, all others are below 1.
"""


def with_cutoff(runs: Sequence[CameraPath], limits: PathLimits, method: Method = "optimal") -> PathLimits:
    """Return limits with the frequency below which camera movement is intended in the clip that these runs make up.

    Where it is only likely that a hand sways, the sway is removed as far as the zoom allows that shake needs anyway: if
    it was meant, little is lost.

    Args:
        runs: The clip.
        limits: `cutoff_hz` is not read.
        method: As in `smooth_clip`.
    """
    intended, sway = replace(limits, cutoff_hz=INTENDED_HZ), replace(limits, cutoff_hz=SWAY_HZ)
    evidence = _gap_evidence(runs)
    if evidence < -_SURE:
        return sway
    if evidence > -_LIKELY or limits.tripod:
        return intended
    zoom = smooth_clip(list(runs), replace(intended, zooming="static"), method).zoom
    if zoom == 1.0:
        return intended
    most = USUAL_ZOOM if limits.max_zoom == "auto" else limits.max_zoom
    return replace(sway, max_zoom=max(zoom, min(zoom / ZOOM_TO_USE, most)))


def _gap_evidence(runs: Sequence[CameraPath]) -> float:
    """Return the log likelihood ratio of a gap above `INTENDED_HZ` against none, along the axis that says it most.

    Of each run's own axes, since a pan along a diagonal has no gap along x and along y.
    """
    ratio = np.zeros(len(SHIFTS))
    for run in runs:
        own = own_frames(run)
        shifts = accumulate(run.motions)[own][:, SHIFTS]
        shifts = shifts - shifts.mean(axis=0)
        axes = np.linalg.eigh(shifts.T @ shifts)[1]
        ratio += gap_likelihood_ratio(run.times[own], shifts @ axes, INTENDED_HZ)
    return float(ratio.max())
