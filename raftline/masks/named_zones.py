"""Zones with names: where motion counts, where it does not, and which ones an object is in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np

from raftline.camera.zones import Polygon, zone_mask
from raftline.masks.velocity_filter import VelocityFilter

ZoneUse = Literal["watch", "ignore", "tell"]


@dataclass(frozen=True)
class NamedZone:
    """One zone of a camera.

    Raises:
        ValueError: It is no polygon within the frame.
    """

    corners: Polygon
    """(x, y) in shares of the frame, 0-1; at least 3."""
    does: ZoneUse = "tell"
    """``watch``: motion counts only in zones of this kind; ``ignore``: it does not count in it; ``tell``: neither."""
    velocities: VelocityFilter = field(default_factory=VelocityFilter)
    """An object is in the zone only while it moves so."""

    def __post_init__(self) -> None:
        zone_mask([self.corners], (), 1, 1)

    def holds(
        self, box: tuple[int, int, int, int], velocity_px_s: tuple[float, float], width: int, height: int
    ) -> bool:
        """Whether an object is in the zone: the middle of its box is, or that of the box's lower edge.

        Args:
            box: x, y, width, height of the object, px.
            velocity_px_s: Its velocity (u, v).
            width: Of the frame, px.
            height: Of the frame, px.
        """
        if self.does == "ignore" or not self.velocities.accepts(velocity_px_s):
            return False
        x, y = box[0] + box[2] / 2, box[1] + box[3] / 2
        outline = (np.asarray(self.corners, np.float64) * (width, height)).astype(np.float32)
        places = ((x, y), (x, box[1] + box[3]))
        return any(cv2.pointPolygonTest(outline, place, False) >= 0 for place in places)


Zones = Mapping[str, NamedZone]


def polygons(zones: Zones, does: ZoneUse) -> list[Polygon]:
    """Those of the zones that are for this."""
    return [zone.corners for zone in zones.values() if zone.does == does]


def zones_of(
    zones: Zones, box: tuple[int, int, int, int], velocity_px_s: tuple[float, float], width: int, height: int
) -> tuple[str, ...]:
    """Names of the zones that an object is in. Arguments as for `NamedZone.holds`."""
    return tuple(name for name, zone in zones.items() if zone.holds(box, velocity_px_s, width, height))
