"""What a request asks of the events, as the database takes it."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import Depends, HTTPException, Query

from raftline.camera.zones import zone_mask
from raftline.event_database import GRID, Filter, cells_of
from raftline.web.access.rights import LOOK
from raftline.web.access.users import User
from raftline.web.event_models import Label

_MOST_CORNERS = 200


def _filter(
    user: User = LOOK,
    source: Annotated[list[str] | None, Query(description="cameras and files; all by default")] = None,
    zone: str | None = None,
    begin: Annotated[float | None, Query(description="those that begin then or later, as `at`")] = None,
    end: Annotated[float | None, Query(description="those that begin before")] = None,
    least_area: Annotated[float | None, Query(ge=0, le=1)] = None,
    most_area: Annotated[float | None, Query(ge=0, le=1)] = None,
    least_speed: Annotated[float | None, Query(ge=0, description="px/s")] = None,
    most_speed: Annotated[float | None, Query(ge=0, description="px/s")] = None,
    label: Label | None = None,
    labelled: Annotated[bool | None, Query(description="false: those without a label")] = None,
    area: Annotated[
        str | None, Query(max_length=10_000, description="with motion inside this polygon: [[x, y], ...], shares, 0-1")
    ] = None,
) -> Filter:
    sources = source if user.cameras is None else [name for name in source or user.cameras if user.sees(name)]
    wanted = "none" if labelled is False else label
    cells = None if area is None else _cells(area)
    return Filter(sources, zone, begin, end, least_area, most_area, least_speed, most_speed, wanted, cells)


def polygon(area: str) -> list[tuple[float, float]]:
    """The corners of an area that a request names. Raises `HTTPException` if it is none."""
    try:
        corners = [(float(x), float(y)) for x, y in json.loads(area)]
        if len(corners) > _MOST_CORNERS:
            raise ValueError(f"{len(corners)} corners; at most {_MOST_CORNERS} are allowed")
        zone_mask([corners], (), 1, 1)
    except (ValueError, TypeError, RecursionError) as error:
        raise HTTPException(422, f"area: a polygon [[x, y], ...] in shares of the frame is wanted; {error}") from None
    return corners


def _cells(area: str) -> bytes:
    mask = zone_mask([polygon(area)], (), *GRID)
    return cells_of(lambda column, row: bool(mask[row, column]))


Wanted = Annotated[Filter, Depends(_filter)]
