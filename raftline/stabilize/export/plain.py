"""A camera path as one JSON document, with the rotation beside the image's motion."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from raftline.stabilize.export.camera_steps import CameraStep
from raftline.stabilize.export.rotation import camera_rotation


def plain(steps: Sequence[CameraStep], focal: float, note: str) -> str:
    """The text of the file; `focal` in px, `note` says how it is known."""
    content = {
        "format": "raftline camera path 1",
        "focal_px": round(focal, 3),
        "focal_from": note,
        "axes": "x right, y down, z forward; radians; the turn of the camera since the frame before, in its axes there",
        "frames": [_frame(step, focal) for step in steps],
    }
    return json.dumps(content, indent=1) + "\n"


def _frame(step: CameraStep, focal: float) -> dict[str, Any]:
    turn = camera_rotation(step.camera, step.width, step.height, focal)
    linear = step.camera[:2, :2] / step.camera[2, 2]
    return {
        "pts_seconds": step.pts_seconds,
        "width": step.width,
        "height": step.height,
        "starts_path": step.starts_path,
        "confidence": step.confidence,
        "camera": [float(value) for value in step.camera.ravel()],
        "rotation_rad": [round(float(value), 9) for value in turn],
        "zoom": round(math.sqrt(abs(linear[0, 0] * linear[1, 1] - linear[0, 1] * linear[1, 0])), 9),
    }
