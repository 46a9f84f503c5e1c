"""Look at a fleet: its hosts, all cameras, and the events of all hosts. Reads the keys under ``shown`` alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pipeline.config.schema import check_redis_url
from pipeline.errors import ConfigError
from pipeline.fleet.facts import CameraStatus, HostReport, KnownHost, Strikes, WantedCamera
from pipeline.fleet.keys import FLEETS, FleetKeys
from pipeline.redaction import redact
from pipeline.transport.redis_connection import connect, translate_redis_errors


@dataclass(frozen=True)
class ToldEvent:
    """A motion event that a host told of."""

    camera: str
    host: str
    fence: int
    """Number of the host's lease: of two hosts that had the camera, the later one has the larger."""
    uid: str
    state: str
    """``begin`` or ``end``."""
    told: str
    """When, ISO 8601."""
    event: Mapping[str, Any]
    """The line of the event log; of one that begins, its first keys."""


class FleetReader:
    """A connection, for several threads. Its methods raise `TransportError`; `TransportLost` if the server is away."""

    def __init__(self, url: str, fleet: str) -> None:
        """
        Args:
            url: Of the control Redis.
            fleet: Name of the fleet.

        Raises:
            ConfigError: If `url` is none of a Redis server.
        """
        try:
            self.client = connect(check_redis_url(url))
        except ValueError as error:
            raise ConfigError(f"--control: found {redact(url)!r}; allowed is {error}") from None
        self.keys, self.where = FleetKeys(fleet), redact(url)

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    @translate_redis_errors
    def cameras(self) -> dict[str, WantedCamera]:
        """The cameras wanted."""
        found = cast("dict[bytes, bytes]", self.client.hgetall(self.keys.cameras))
        return {name.decode(): WantedCamera(**json.loads(text)) for name, text in found.items()}

    @translate_redis_errors
    def hosts(self) -> dict[str, KnownHost]:
        """The hosts that said something lately."""
        with self.client.pipeline() as batch:
            batch.time()
            batch.hgetall(self.keys.hosts)
            (seconds, microseconds), found = batch.execute()
        now_ms = seconds * 1000 + microseconds // 1000
        return {name.decode(): known_host(value, now_ms) for name, value in found.items()}

    @translate_redis_errors
    def states(self) -> dict[str, tuple[str, CameraStatus]]:
        """Of each camera the host that had it last, and how it did there."""
        found = cast("dict[bytes, bytes]", self.client.hgetall(self.keys.states))
        told = {name.decode(): json.loads(text) for name, text in found.items()}
        return {name: (each.pop("host"), CameraStatus(**each)) for name, each in told.items()}

    @translate_redis_errors
    def strikes(self) -> dict[str, Strikes]:
        """Cameras while which a run failed, and which were not forgiven since."""
        return strikes_of(cast("dict[bytes, bytes]", self.client.hgetall(self.keys.strikes)))

    @translate_redis_errors
    def events(self, most: int) -> list[ToldEvent]:
        """The last events of all hosts, the newest first."""
        found = cast("list[tuple[bytes, dict[bytes, bytes]]]", self.client.xrevrange(self.keys.events, count=most))
        told = [{key.decode(): value.decode() for key, value in fields.items()} for _, fields in found]
        return [ToldEvent(**{**each, "fence": int(each["fence"]), "event": json.loads(each["event"])}) for each in told]


@translate_redis_errors
def _fleets(self: FleetReader) -> Sequence[str]:
    found = cast("set[bytes]", self.client.smembers(FLEETS))
    return sorted(name.decode() for name in found)


def only_fleet(url: str) -> str:
    """The name of the one fleet on a server. Raises `ConfigError` where there is none, or are several."""
    reader = FleetReader(url, "")
    try:
        names = _fleets(reader)
    finally:
        reader.close()
    if not names:
        raise ConfigError(
            f"--control: there is no fleet on {redact(url)}; it is made by its first host: raftline serve CONFIG "
            f"--control {redact(url)}"
        )
    if len(names) > 1:
        raise ConfigError(
            f"--control: found several fleets on {redact(url)}: {', '.join(names)}; give the name of one, which is the "
            "`name` in the configuration that its hosts serve"
        )
    return names[0]


def known_host(value: bytes, now_ms: int) -> KnownHost:
    """A host from its entry in the hash of hosts, by the server's time."""
    at_ms, _, text = value.decode().partition(" ")
    return KnownHost(HostReport.from_json(text), max(0.0, (now_ms - int(at_ms)) / 1000))


def strikes_of(found: Mapping[bytes, bytes]) -> dict[str, Strikes]:
    """From the hash of strikes."""
    return {name.decode(): Strikes(**json.loads(text)) for name, text in found.items()}
