"""The zones of cameras, as the YAML has them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from raftline.masks.named_zones import NamedZone, ZoneUse
from raftline.masks.velocity_filter import VelocityFilter


class ZoneSection(BaseModel):
    """One zone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    corners: list[tuple[float, float]] = Field(description="polygon [[x, y], ...], in shares of the frame, 0-1")
    does: ZoneUse = Field(
        "tell",
        description="watch: motion counts only in zones of this kind; ignore: motion in it does not count; tell: "
        "events say when something moves in it, as they do of zones to watch",
    )
    slowest_px_s: float = Field(0.0, ge=0, description="slower objects are not in the zone, px/s")
    fastest_px_s: float | None = Field(None, gt=0, description="faster objects are not, px/s; null: no limit")
    direction_degrees: float | None = Field(
        None, ge=0, lt=360, description="only objects that move this way are: 0 right, 90 down, 180 left, 270 up"
    )
    direction_within_degrees: float = Field(
        45.0, gt=0, le=180, description="how far an object's direction may be off, to either side, degrees"
    )

    @model_validator(mode="after")
    def _is_a_zone(self) -> Any:
        if self.does == "ignore" and (self.slowest_px_s or self.fastest_px_s or self.direction_degrees is not None):
            raise ValueError("a zone to ignore has no speed and no direction; take them away, or say does: tell")
        self.for_library()
        return self

    def for_library(self) -> NamedZone:
        """The same for `raftline.masks`."""
        fastest = float("inf") if self.fastest_px_s is None else self.fastest_px_s
        way = (self.direction_degrees, self.direction_within_degrees)
        return NamedZone(self.corners, self.does, VelocityFilter(self.slowest_px_s, fastest, *way))
