"""What the control Redis holds: cameras that are wanted, and what hosts say of themselves and of their cameras."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pipeline.runtime.ownership import TTL_SECONDS


@dataclass(frozen=True)
class Times:
    """What hosts wait for."""

    lease_seconds: float = TTL_SECONDS
    beat_seconds: float = 1.0
    """Between two heartbeats."""
    lost_seconds: float = 5.0
    """A host that was silent for so long is lost, and leaves its share to others; its leases end some seconds later.
    Chosen by hand: some heartbeats may be late."""
    grace_seconds: float = 30.0
    """A host that cannot reach the control Redis keeps its cameras for so long after their leases ran out: a restart of
    the server stops no camera. Chosen by hand, equal to a run's patience with its own server."""
    settle_seconds: float = 5.0
    """A host gives no camera to another until it has had too many for so long. Chosen by hand: a host that restarts
    takes some seconds."""
    barred_seconds: float = 30.0
    """A camera that this host could not start is tried again here after so long. Chosen by hand."""


TIMES = Times()
"""What hosts wait for unless they are told otherwise, and what others take them to wait for."""


@dataclass(frozen=True)
class WantedCamera:
    """A camera that somebody wants to be watched."""

    input: str
    """Without its password."""
    by: Literal["file", "command"]
    """``file``: it stands in the configuration of a host; ``command``: it was added beside."""
    edition: str
    """Differs after each change of its section."""


MOST_STRIKES = 3
"""With which a camera is put aside, as an entry that kills its worker so often is. Chosen by hand."""


@dataclass(frozen=True)
class Strikes:
    """Runs that have failed while they had a camera, and may have failed for it."""

    count: int
    host: str
    """Of the last one."""
    why: str
    """It failed."""


@dataclass(frozen=True)
class HostReport:
    """A host's heartbeat."""

    id: str
    """Of the process: two of one name are found by it."""
    cameras: tuple[str, ...] = ()
    """That it has leased."""
    refused: tuple[str, ...] = ()
    """That it could not start lately."""
    capacity: int | None = None
    """Cameras that it can carry; None: any number."""
    capacity_why: str = ""
    """What the capacity comes from, in words."""
    cores: int | None = None
    cpu_cores: float | None = None
    """Cores in use, lately."""
    page: str | None = None
    """Address of its page, for other machines."""
    leaving: bool = False
    """It finishes its cameras, and takes no more."""

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> HostReport:
        """Keys that this version does not know are left out: hosts are updated one after the other."""
        values = json.loads(text)
        known = {key: value for key, value in values.items() if key in cls.__dataclass_fields__}
        lists = {key: tuple(known.get(key, ())) for key in ("cameras", "refused")}
        return cls(**{**known, **lists})


@dataclass(frozen=True)
class KnownHost:
    """A host, as it said last."""

    report: HostReport
    silent_seconds: float
    """Since its last heartbeat, by the server's clock."""

    def lives(self, times: Times) -> bool:
        """Whether it may have cameras."""
        return self.silent_seconds < times.lost_seconds


CameraState = Literal["starting", "live", "running", "trying", "leaving", "finished", "stopped", "failed", "refused"]
"""As a run has them, and ``refused``: the run did not take it."""
ENDED = ("finished", "stopped", "failed")


@dataclass(frozen=True)
class CameraStatus:
    """How a camera does on a host."""

    state: CameraState
    since: str = ""
    """When it came into this state, ISO 8601."""
    why: str = ""
    """What is wrong with it; empty: nothing."""


@dataclass(frozen=True)
class TellEvent:
    """A motion event that began or ended, to be told to all."""

    camera: str
    state: Literal["begin", "end"]
    event: Mapping[str, Any] = field(default_factory=dict)
    """The line of the event log; of one that begins, its first keys."""

    @property
    def key(self) -> str:
        """Of its own: told twice, it is known."""
        return f"{self.event['uid']}.{self.state}"
