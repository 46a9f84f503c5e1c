"""Which objects count, by how fast they go and where to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class VelocityFilter:
    """Limits of an object's velocity after the camera's motion."""

    slowest_px_s: float = 0.0
    """px/s of the full frame."""
    fastest_px_s: float = np.inf
    """px/s of the full frame."""
    direction_degrees: float | None = None
    """0 is to the right, 90 down, 180 to the left, 270 up; None: any."""
    within_degrees: float = 45.0
    """How far from that an object's direction may be, to either side."""

    def accepts(self, velocity_px_s: tuple[float, float]) -> bool:
        """Whether an object with this mean velocity (u, v) counts."""
        speed_px_s = float(np.hypot(*velocity_px_s))
        if not self.slowest_px_s <= speed_px_s <= self.fastest_px_s:
            return False
        if self.direction_degrees is None:
            return True
        heading = float(np.degrees(np.arctan2(velocity_px_s[1], velocity_px_s[0])))
        off = (heading - self.direction_degrees + 180.0) % 360.0 - 180.0
        return abs(off) <= self.within_degrees
