"""What ``/api/fleet`` answers. Nothing in it is secret: inputs come as they are shown to people."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class FleetHost(BaseModel):
    """A host of the fleet."""

    name: str
    state: Literal["live", "full", "leaving", "lost"] = Field(
        description="full: it takes no more cameras; lost: it is silent, and others take its cameras"
    )
    cameras: int
    capacity: int | None = Field(description="cameras that it can carry; null: any number")
    capacity_why: str = Field(description="what the capacity comes from")
    cores: int | None
    cpu_cores: float | None = Field(description="cores in use, lately")
    silent_seconds: float = Field(description="since its last heartbeat")
    page: str | None = Field(description="address of its own page")


class FleetCamera(BaseModel):
    """A camera that is wanted, wherever it is."""

    name: str
    input: str = Field(description="address, without a password")
    state: str = Field(
        description="as on its host; waiting: no host has it; refused: a host could not start it; put aside: runs "
        "failed for it"
    )
    host: str | None
    since: str = Field(description="when it came into this state, ISO 8601; empty: not known")
    why: str = Field(description="what is wrong with it; empty: nothing")
    page: str | None = Field(description="address of its host's page")


class FleetEvent(BaseModel):
    """A motion event of any host."""

    camera: str
    host: str
    uid: str
    state: str = Field(description="begin or end")
    told: str = Field(description="when, ISO 8601")
    zones: list[str]


class FleetState(BaseModel):
    """All hosts, all cameras, and the last events of all."""

    name: str
    hosts: list[FleetHost] = []
    cameras: list[FleetCamera] = []
    events: list[FleetEvent] = Field(default=[], description="the newest first")
    trouble: str = Field(default="", description="why the control Redis cannot be read; the rest is as it was before")
