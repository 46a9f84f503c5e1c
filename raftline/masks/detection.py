"""What is found in one frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raftline.camera.camera_motion import CameraMotion
from raftline.masks.motion_events import OpenEvent
from raftline.masks.tracking import Track


@dataclass(frozen=True)
class MovingObject:
    """One object in one frame."""

    track: Track
    """What is known of it over time."""
    box: tuple[int, int, int, int]
    """x, y, width, height in px of the frame."""
    area_px: int
    """Of the frame's px, those it covers."""
    moves: bool
    """False while it stands after having moved."""

    @property
    def id(self) -> int:
        """Stable while the object is followed."""
        return self.track.id

    @property
    def velocity_px_s(self) -> tuple[float, float]:
        """Mean motion after the camera's, px/s: x to the right, y down."""
        return self.track.velocity


@dataclass(frozen=True)
class Tentative:
    """An object in one frame whose track is not confirmed yet (a tentative track, as in SORT, Bewley et al. 2016)."""

    moving: MovingObject
    points: np.ndarray
    """bool (h, w) on the working grid: what it covers."""


@dataclass(frozen=True)
class Detection:
    """What moves in one frame, before backdating."""

    mask: np.ndarray
    """uint8 (H, W): 255 moves, 0 does not."""
    objects: tuple[MovingObject, ...]
    """Those that count: confirmed, and within the limits of velocity."""
    ended: OpenEvent | None
    """The event that ended with this frame."""
    began: OpenEvent | None
    """The event that began with this frame."""
    camera: CameraMotion | None = None
    """The camera's motion since the frame before; None for the first frame of a run."""
    uncertain: bool = False
    """The motion may not be an object's: a part of the frame was taken to be scenery at another depth, over a third of
    it moves against the camera, or the camera's motion is not known."""
    tentative: tuple[Tentative, ...] = ()
    """Those that may come to count."""
    tentative_before: tuple[Tentative, ...] = ()
    """The same for the frame before, if that was the first of a run: the flow from it shows what moves in it."""
    regions_too_small: int = 0
    """Regions smaller than `min_area` that have moved, at this frame, for as long as an object has to."""
