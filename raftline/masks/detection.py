"""What is found in one frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raftline.masks.motion_events import OpenEvent
from raftline.masks.tracking import Track


@dataclass(frozen=True)
class Moving:
    """One object in one frame."""

    track: Track
    box: tuple[int, int, int, int]
    """x, y, width, height in px."""
    area_px: int
    moves: bool
    """False while it stands after having moved."""


@dataclass(frozen=True)
class Unproven:
    """What moves in one frame, and was not followed for long enough yet to count."""

    moving: Moving
    points: np.ndarray
    """bool (h, w) on the working grid: where."""


@dataclass(frozen=True)
class Detection:
    """What moves in one frame."""

    mask: np.ndarray
    """uint8 (H, W): 255 moves."""
    objects: tuple[Moving, ...]
    """Those that count."""
    ended: OpenEvent | None
    began: OpenEvent | None
    uncertain: bool = False
    """So much of the picture moves against the camera's motion that it may be depth, or the camera that moves; or a
    part of it was taken to be scenery at another depth; or nothing is known of the camera's motion."""
    unproven: tuple[Unproven, ...] = ()
    """Those that may turn out to count."""
    before: tuple[Unproven, ...] = ()
    """The same of the frame before, where that is a first one: what moves in it shows in the next."""
