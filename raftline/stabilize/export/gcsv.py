"""Gyroflow's .gcsv: the rotation of the camera as a gyroscope would have logged it.

The format: docs.gyroflow.xyz, technical details, "Gyroflow .gcsv format". Gyroflow's axes are x right, y up, z
backward.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raftline.stabilize.export.camera_steps import CameraStep
from raftline.stabilize.export.rotation import camera_rotation

_NANOSECONDS = 1_000_000_000
_TO_GYROFLOW = np.array([1.0, -1.0, -1.0])
"""From x right, y down, z forward."""
_HEAD = """GYROFLOW IMU LOG
version,1.3
id,raftline
orientation,XYZ
note,{note}
fwversion,raftline
vendor,raftline
videofilename,{video}
tscale,0.000000001
gscale,1.0
t,gx,gy,gz
"""


def gcsv(steps: Sequence[CameraStep], focal: float, video: str, note: str) -> str:
    """The text of the file.

    A sample stands at each frame's time, counted from the first frame in nanoseconds, with the mean angular velocity
    since the frame before, rad/s: summed up, the samples give the rotation again.

    Args:
        steps: of the path. Where a path begins, the camera counts as still.
        focal: length, px.
        video: name of the film.
        note: how the focal length is known; without commas.
    """
    begin = round(steps[0].pts_seconds * _NANOSECONDS)
    lines, before = [], None
    for step in steps:
        at = round(step.pts_seconds * _NANOSECONDS) - begin
        rate = np.zeros(3)
        if before is not None and at > before and not step.starts_path:
            turn = camera_rotation(step.camera, step.width, step.height, focal)
            rate = _TO_GYROFLOW * turn * (_NANOSECONDS / (at - before))
        lines.append(",".join([str(at), *(f"{value + 0.0:.9f}" for value in rate)]))
        before = at
    return _HEAD.format(note=note, video=video) + "\n".join(lines) + "\n"
