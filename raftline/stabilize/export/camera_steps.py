"""The camera's motion from each frame to the next, read from a path that stabilization wrote."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from raftline.camera.revision import revised


@dataclass(frozen=True)
class CameraStep:
    """One frame, and how the camera came to it."""

    pts_seconds: float
    """Presentation time, as it stands in the path."""
    width: int
    height: int
    """Of the frame, px."""
    camera: np.ndarray
    """(3, 3) float64: px of the frame before to px of this one. Identity where a path begins."""
    starts_path: bool
    """There is no motion from the frame before: the first frame, a cut, a gap."""
    confidence: float
    """0-1."""
    model: str
    """Of the motion, such as "similarity"."""


def read_steps(path: Path) -> list[CameraStep]:
    """Read a path, one JSON object a line.

    Raises:
        ValueError: a line that is no frame of a path, with its number; no frames; a frame without a time.
    """
    steps: list[CameraStep] = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
            steps.append(_step(values))
            for index, correction in values.get("revised", ()):
                steps[index] = replace(steps[index], camera=revised(steps[index].camera, correction))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ValueError(
                f"{path}, line {number}: expected a frame of a camera path, as the stage stabilization writes it to "
                f"NAME.path.jsonl; found {line[:60]!r} ({type(error).__name__}: {error})"
            ) from None
    if not steps:
        raise ValueError(f"{path}: expected a frame a line, found none")
    return steps


def _step(values: dict[str, Any]) -> CameraStep:
    if values["pts_seconds"] is None:
        raise ValueError("pts_seconds is null: the source has no times")
    matrix = np.asarray(values["camera"], np.float64).reshape(3, 3)
    starts = bool(values["starts_path"])
    size = int(values["width"]), int(values["height"])
    confidence = float(values["confidence"])
    return CameraStep(
        float(values["pts_seconds"]), *size, np.eye(3) if starts else matrix, starts, confidence, str(values["model"])
    )
