"""Zones of a camera."""

from __future__ import annotations

from fastapi import APIRouter, Request

from raftline.web.access.rights import CHANGE, LOOK
from raftline.web.models import Done
from raftline.web.zones_file import ZonesGiven, ZonesShown

router = APIRouter(prefix="/api", tags=["zones"])


@router.get("/sources/{source}/zones", dependencies=[LOOK])
def get_zones(request: Request, source: str) -> ZonesShown:
    """Its zones, as the configuration has them."""
    return request.app.state.zones_file.read(source)


@router.put("/sources/{source}/zones", dependencies=[CHANGE])
def put_zones(request: Request, source: str, given: ZonesGiven) -> Done:
    """Save all its zones into the configuration, if what comes of it is right. Comments in the file stay."""
    request.app.state.zones_file.save(source, given.zones)
    return Done(remark="saved into the configuration of the run")
