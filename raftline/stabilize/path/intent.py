"""Which of a clip's movement is meant: told from what lies between slow movement and shake."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raftline.camera.transforms import SHIFTS
from raftline.stabilize.path.path_smoothing import CameraPath, accumulate, own_frames
from raftline.stabilize.path.slow_movement import gap_evidence

MEANT_HZ = 0.6
"""Movement slower than this is meant, where it is set apart from shake."""
SWAY_HZ = 0.3
"""The same where it is not: a hand that only holds the camera sways at all frequencies alike."""
_SURE = 10.0
"""How much likelier, as a logarithm, a spectrum without a gap must be, along x and along y.

Pans, zooms and fixed cameras that shake at 1-8 Hz: -3 to -16; four handheld clips: 180 to 915. A pan that sets out and
stops is without a gap too, but along one axis.
"""


def meant_cutoff(runs: Sequence[CameraPath]) -> float:
    """Hz: camera movement slower than this is meant in the clip that these runs make."""
    evidence = np.zeros(len(SHIFTS))
    for run in runs:
        own = own_frames(run)
        evidence += gap_evidence(run.times[own], accumulate(run.motions)[own][:, SHIFTS], MEANT_HZ)
    return SWAY_HZ if evidence.max() < -_SURE else MEANT_HZ
