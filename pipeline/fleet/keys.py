"""Every key of the control Redis, in one place. ``docs/scaling.md`` describes the content of each.

Those under ``shown`` hold nothing secret: whoever only looks needs no others. All keys of a fleet share one hash tag.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.transport.keys import key_part

FLEETS = "raftline-fleets"
"""Set: names of the fleets on this server."""


@dataclass(frozen=True)
class FleetKeys:
    """The keys of one fleet."""

    fleet: str
    """Its name: the `name` of the configuration that its hosts serve."""

    def _key(self, *parts: str) -> str:
        return ":".join((f"raftline-fleet:{{{self.fleet}}}", *parts))

    @property
    def sections(self) -> str:
        """Hash: camera to its section of `sources` as JSON, as written: it may hold a password."""
        return self._key("sections")

    @property
    def cameras(self) -> str:
        """Hash: camera to JSON that tells of it without secrets."""
        return self._key("shown", "cameras")

    @property
    def revision(self) -> str:
        """Counter of the changes of `cameras`; not there in a server that has lost its data."""
        return self._key("shown", "revision")

    @property
    def hosts(self) -> str:
        """Hash: host to ``MS JSON``: the server's time of its last heartbeat, and what it reported."""
        return self._key("shown", "hosts")

    @property
    def states(self) -> str:
        """Hash: camera to JSON: how it does, as the host said that had it last."""
        return self._key("shown", "states")

    @property
    def strikes(self) -> str:
        """Hash: camera to JSON: how many runs have failed while they had it, and the last one's host and error."""
        return self._key("shown", "strikes")

    @property
    def owners(self) -> str:
        """Hash: camera to ``FENCE@HOST``, its last owner."""
        return self._key("shown", "owners")

    @property
    def events(self) -> str:
        """Stream: the motion events of all hosts, the newest some thousands."""
        return self._key("shown", "events")

    @property
    def told(self) -> str:
        """Sorted set: keys of the events that were told, by time."""
        return self._key("told")

    def lease(self, camera: str) -> str:
        """redis-py Lock whose token is ``FENCE@HOST``."""
        return self._key("lease", key_part(camera))

    def fence(self, camera: str) -> str:
        """Counter of the owners so far."""
        return self._key("fence", key_part(camera))
