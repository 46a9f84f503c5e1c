"""vid.stab's .trf, which ffmpeg's vidstabtransform reads: how fields of each frame moved.

Version 1 of the text format of vid.stab (`vsPrepareFile` and `vsStoreLocalmotions`); its vectors are whole pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from raftline.camera.transforms import transform_points
from raftline.stabilize.export.camera_steps import CameraStep

_FIELDS = (16, 12)
"""Columns and rows of fields. Rounded one after the other, with what the one before lost, their mean is exact to 0.01
px."""
_HEAD = "VID.STAB 1\n#      accuracy = 15\n#     shakiness = 5\n#      stepsize = 6\n#   mincontrast = 0.250000\n"
_CONTRAST, _MATCH = 0.5, 1.0
"""vid.stab's own measures of a field, which do not matter where all are alike."""


def trf(steps: Sequence[CameraStep]) -> str:
    """The text of the file. Where a path begins, the frame has no fields: vid.stab takes it for still."""
    lines = []
    for number, step in enumerate(steps, 1):
        fields = [] if step.starts_path else [_field(*values) for values in _moved(step)]
        lines.append(f"Frame {number} (List {len(fields)} [{','.join(fields)}])\n")
    return _HEAD + "".join(lines)


def _moved(step: CameraStep) -> Iterator[tuple[int, int, int, int, int]]:
    """(vx, vy, x, y, size) of each field: where it came from, seen from where it is in this frame."""
    columns, rows = _FIELDS
    size = max(8, min(step.width // columns, step.height // rows) // 2 * 2)
    xs = np.round((np.arange(columns) + 0.5) * step.width / columns)
    ys = np.round((np.arange(rows) + 0.5) * step.height / rows)
    centres = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    vectors = transform_points(np.linalg.inv(step.camera), centres) - centres
    left = np.zeros(2)
    for (x, y), vector in zip(centres, vectors, strict=True):
        wanted = vector + left
        whole = np.round(wanted)
        left = wanted - whole
        yield int(whole[0]), int(whole[1]), int(x), int(y), size


def _field(vx: int, vy: int, x: int, y: int, size: int) -> str:
    return f"(LM {vx} {vy} {x} {y} {size} {_CONTRAST:f} {_MATCH:f})"
