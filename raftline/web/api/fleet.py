"""The fleet that this host belongs to: read, never changed."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request

from raftline.web.access.rights import LOOK
from raftline.web.access.users import User
from raftline.web.fleet_models import FleetState
from raftline.web.watched_fleet import WatchedFleet

router = APIRouter(prefix="/api", tags=["fleet"])


@router.get("/fleet")
def get_fleet(request: Request, user: User = LOOK) -> FleetState:
    """All hosts, all cameras, and the last events of all; of a user, their cameras alone."""
    fleet: WatchedFleet | None = request.app.state.fleet
    if fleet is None:
        raise HTTPException(404, "this run belongs to no fleet; raftline serve starts one that does")
    state = fleet.state()
    cameras = [camera for camera in state.cameras if user.sees(camera.name)]
    events = [event for event in state.events if user.sees(event.camera)]
    return state.model_copy(update={"cameras": cameras, "events": events})
