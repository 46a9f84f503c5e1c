"""What counts as motion: the options of `MotionMasks`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from raftline.camera.working_grid import WorkingGrid
from raftline.camera.zones import Polygon, zone_mask
from raftline.masks.residual_motion import Thresholds
from raftline.masks.velocity_filter import VelocityFilter

CameraMode = Literal["auto", "fixed", "moving"]
CameraModel = Literal["translation", "similarity", "affine", "homography"]

_SPEED_OF_DIAGONAL = 0.03
"""Default of `speed_px_s` in frame diagonals per second. Chosen by hand; `python -m benchmarks.bench_motion_masks`
shows its effect."""
_SLOW_SHARE = 0.45
"""Default of `slow_px_s` as a share of `speed_px_s`. Chosen by hand, within the 1/3 to 1/2 that Canny (1986) recommends
for the two thresholds of hysteresis."""
_LIMITS = {
    "min_area": (0.0, 1.0),
    "persistence_seconds": (0.0, 10.0),
    "hold_seconds": (0.0, 60.0),
    "merge_seconds": (0.0, 600.0),
    "after_seconds": (0.0, 600.0),
    "stopped_seconds": (0.0, 3600.0),
    "margin_px": (0, 100),
    "direction_within_degrees": (0.0, 180.0),
}
"""Least and most. The upper limits of times and of the margin only catch a wrong unit."""
_CHOICES = {"camera": get_args(CameraMode), "model": get_args(CameraModel)}


@dataclass(frozen=True, kw_only=True)
class MotionMaskOptions:
    """What counts as motion. Speeds are px/s of the full frame, after the camera's motion is subtracted.

    Raises:
        ValueError: A value out of its range, a zone that is no polygon, or m/s without `metres_per_px`.
    """

    speed_px_s: float | None = None
    """A region counts if some of it is at least this fast, px/s. None: 3 % of the frame's diagonal per second."""
    slow_px_s: float | None = None
    """Such a region extends to all connected parts that are at least this fast, px/s. None: 0.45 * `speed_px_s`."""
    min_area: float = 0.0008
    """Smallest region, as a share of the frame, 0-1."""
    persistence_seconds: float = 0.2
    """An object counts after it has been seen moving for this long, s. At low frame rates it also takes 4 frames, or
    0.5 s. 0: it counts at once."""
    backdate: bool = True
    """Hold results back until new objects are confirmed, and show them from their first frame on. False: `step`
    returns each result at once, and an object shows from the frame that confirms it."""
    hold_seconds: float = 0.7
    """An object that is out of sight for at most this long keeps its id, s."""
    merge_seconds: float = 2.0
    """Motion after a pause of at most this long belongs to the same event, s."""
    after_seconds: float = 0.0
    """An event lasts this much longer than its last motion, s."""
    stopped_seconds: float = 1.0
    """An object that stops stays in the mask this long, s; under a camera that moves, at most as long as it moved."""
    margin_px: int = 0
    """The mask is grown by this many px."""
    shadows: bool = False
    """Fixed camera only: moving shadows count as motion. Under a moving camera they always do."""
    watch: Sequence[Polygon] = ()
    """Motion counts only inside these polygons, (x, y) corners in shares of the frame, 0-1. Empty: everywhere."""
    ignore: Sequence[Polygon] = ()
    """Motion does not count inside these polygons."""
    camera: CameraMode = "auto"
    """``fixed``: the camera stands still; ``moving``: it never does; ``auto``: decided for each frame."""
    model: CameraModel = "homography"
    """Model of the camera's motion. A simpler one is fitted where the frame has too little texture for it."""
    slowest_px_s: float = 0.0
    """Slower objects do not count, px/s."""
    fastest_px_s: float | None = None
    """Faster objects do not count, px/s. None: no limit."""
    slowest_m_s: float = 0.0
    """The same in m/s; needs `metres_per_px`."""
    fastest_m_s: float | None = None
    """The same in m/s; needs `metres_per_px`."""
    metres_per_px: float | None = None
    """Ground scale, metres per px of the frame."""
    direction_degrees: float | None = None
    """Only objects that move this way count: 0 right, 90 down, 180 left, 270 up. None: any direction."""
    direction_within_degrees: float = 45.0
    """How far an object's direction may be off, to either side, degrees."""

    def __post_init__(self) -> None:
        for name, (least, most) in _LIMITS.items():
            if not least <= (value := getattr(self, name)) <= most:
                raise ValueError(f"{name} is {value}: it must be from {least:g} to {most:g}")
        for name, allowed in _CHOICES.items():
            if (value := getattr(self, name)) not in allowed:
                raise ValueError(f"{name} is {value!r}: it must be one of {', '.join(allowed)}")
        if self.metres_per_px is None and (self.slowest_m_s > 0 or self.fastest_m_s is not None):
            raise ValueError("slowest_m_s and fastest_m_s need metres_per_px: the metres a px spans, e.g. 0.05")
        zone_mask(self.watch, self.ignore, 1, 1)

    def thresholds(self, grid: WorkingGrid) -> Thresholds:
        """Of residual motion, for frames of the grid's size."""
        high_px_s = self.speed_px_s or _SPEED_OF_DIAGONAL * float(np.hypot(grid.width, grid.height))
        low_px_s = min(self.slow_px_s or _SLOW_SHARE * high_px_s, high_px_s)
        return Thresholds(high_px_s, low_px_s, self.min_area)

    def allowed(self, grid: WorkingGrid) -> np.ndarray | None:
        """bool (h, w) on the working grid: where motion counts; None: everywhere."""
        return zone_mask(self.watch, self.ignore, *grid.shape[::-1]) if self.watch or self.ignore else None

    def velocity_filter(self) -> VelocityFilter:
        """Limits of speed and direction, m/s converted to px/s."""
        px_per_metre = 1.0 if self.metres_per_px is None else 1.0 / self.metres_per_px
        slowest = max(self.slowest_px_s, px_per_metre * self.slowest_m_s)
        fastest = self.fastest_px_s or math.inf
        if self.fastest_m_s is not None:
            fastest = min(fastest, px_per_metre * self.fastest_m_s)
        return VelocityFilter(slowest, fastest, self.direction_degrees, self.direction_within_degrees)
