"""What is measured of an event while it goes on, frame by frame."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from pipeline.messages import Mask
from raftline.event_database import GRID

_MOST_ZONES = 50
"""Keeps an event small, as it travels in a snapshot. Chosen by hand."""

_EVERY_ROW = 4
"""Rows looked at for `cells_in_motion`: a quarter of the time, and what moves is larger. Chosen by hand."""


@dataclass
class Measures:
    """Sums over the frames of one event. Velocities are weighted by the area of what moves."""

    frames: int = 0
    objects: int = 0
    """Largest number of moving objects in one frame."""
    area_px: float = 0.0
    u: float = 0.0
    v: float = 0.0
    speed: float = 0.0
    fastest_px_s: float = 0.0
    box: tuple[int, int] = (0, 0)
    """Width and height of the largest object, px."""
    size: tuple[int, int] = (0, 0)
    """Of the frame, px."""
    zones: tuple[str, ...] = ()
    """In which something moved, in order of appearance."""
    cells: str = ""
    """Hexadecimal; `raftline.event_database.Event.cells`."""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Measures:
        """From what JSON made of the fields of one."""
        lists = {name: tuple(values[name]) for name in ("box", "size", "zones")}
        return cls(**{**values, **lists})

    def add(self, message: Mask, cells: int) -> None:
        """Take one more frame, of which `cells_in_motion` says `cells`."""
        self.frames += 1
        self.size = (message.frame.width, message.frame.height)
        moving = [found for found in message.objects if found.moves]
        self.objects = max(self.objects, len(moving))
        for found in moving:
            speed = math.hypot(*found.velocity_px_s)
            self.area_px += found.area_px
            self.u += found.area_px * found.velocity_px_s[0]
            self.v += found.area_px * found.velocity_px_s[1]
            self.speed += found.area_px * speed
            self.fastest_px_s = max(self.fastest_px_s, speed)
            if found.box[2] * found.box[3] > self.box[0] * self.box[1]:
                self.box = (found.box[2], found.box[3])
            self.zones = tuple(dict.fromkeys(self.zones + found.zones))[:_MOST_ZONES]
        self.cells = f"{int(self.cells or '0', 16) | cells:x}"

    @property
    def speed_px_s(self) -> float | None:
        """Mean speed; None if no object was seen to move."""
        return round(self.speed / self.area_px, 1) if self.area_px else None

    @property
    def direction_degrees(self) -> float | None:
        """Where to, on the whole: 0 right, 90 down, 180 left, 270 up; None if no object was seen to move."""
        return round(math.degrees(math.atan2(self.v, self.u)) % 360.0, 1) if self.u or self.v else None

    @property
    def cell_bytes(self) -> bytes:
        """As `raftline.event_database.Event.cells`."""
        return int(self.cells or "0", 16).to_bytes(GRID[0] * GRID[1] // 8, "big")


def cells_in_motion(mask: np.ndarray) -> int:
    """The cells of `raftline.event_database.GRID` in which something moves, as the bits of a number.

    Args:
        mask: uint8 (H, W), 255 where something moves.
    """
    moving = cv2.resize(mask[::_EVERY_ROW], GRID, interpolation=cv2.INTER_AREA) > 0
    return int.from_bytes(np.packbits(moving).tobytes(), "big")
