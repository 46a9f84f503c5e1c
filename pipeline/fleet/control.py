"""The control Redis of a fleet: what its hosts and those who add cameras write."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, cast

from pipeline.fleet.facts import CameraStatus, HostReport, KnownHost, Strikes, TellEvent, WantedCamera
from pipeline.fleet.keys import FLEETS
from pipeline.fleet.reading import FleetReader, known_host, strikes_of
from pipeline.runtime.ownership import Leases
from pipeline.transport.base import Lease
from pipeline.transport.redis_connection import translate_redis_errors
from pipeline.transport.redis_lease import acquire_lease

EVENTS_KEPT = 10_000
"""Of all hosts, about. Chosen by hand: some days of a hundred cameras, in some MB."""
_BEAT = Path(__file__).with_name("beat.lua").read_text()
_PUBLISH = Path(__file__).with_name("publish.lua").read_text()

Told = Literal["taken", "known", "stale"]
"""Of an event: taken; told already; its host has lost the camera to another."""


@dataclass(frozen=True)
class Beat:
    """What a heartbeat answers."""

    revision: int | None
    """Of the cameras wanted; None: the server holds none, or has lost its data."""
    hosts: Mapping[str, KnownHost]
    strikes: Mapping[str, Strikes]


class Control(FleetReader, Leases):
    """A connection that may write."""

    def __init__(self, url: str, fleet: str) -> None:
        """Arguments and errors as `FleetReader`."""
        super().__init__(url, fleet)
        self._beat = self.client.register_script(_BEAT)
        self._publish = self.client.register_script(_PUBLISH)

    @translate_redis_errors
    def want(self, camera: str, section: Mapping[str, Any], by: Literal["file", "command"], shown: str) -> None:
        """Have a camera watched, or watched with another section.

        Args:
            camera: Its name.
            section: As under `sources`, with ``${VAR}`` as written: each host fills that in from its environment.
            by: Who wants it.
            shown: Its input without secrets.
        """
        with self.client.pipeline() as batch:
            batch.hdel(self.keys.strikes, camera)
            self._put(batch, batch.hset, camera, section, WantedCamera(shown, by, uuid.uuid4().hex[:12]))

    @translate_redis_errors
    def restore(self, camera: str, section: Mapping[str, Any], wanted: WantedCamera) -> None:
        """Put back a camera of a server that has lost its data, unless there is one of this name."""
        with self.client.pipeline() as batch:
            self._put(batch, batch.hsetnx, camera, section, wanted)

    def _put(
        self, batch: Any, put: Callable[..., Any], camera: str, section: Mapping[str, Any], wanted: WantedCamera
    ) -> None:
        put(self.keys.sections, camera, json.dumps(section))
        put(self.keys.cameras, camera, json.dumps(asdict(wanted)))
        batch.incr(self.keys.revision)
        batch.sadd(FLEETS, self.keys.fleet)
        batch.execute()

    @translate_redis_errors
    def unwant(self, camera: str) -> bool:
        """Have a camera watched no longer. False if there is none of this name."""
        with self.client.pipeline() as batch:
            batch.hdel(self.keys.cameras, camera)
            batch.hdel(self.keys.sections, camera)
            batch.hdel(self.keys.states, camera)
            batch.hdel(self.keys.strikes, camera)
            batch.incr(self.keys.revision)
            return bool(batch.execute()[0])

    @translate_redis_errors
    def section(self, camera: str) -> dict[str, Any] | None:
        """The section of a camera; None if it is not wanted any more."""
        text = cast("bytes | None", self.client.hget(self.keys.sections, camera))
        return None if text is None else json.loads(text)

    @translate_redis_errors
    def beat(self, host: str, report: HostReport) -> Beat:
        """A host's heartbeat. Returns what changed, and all hosts."""
        keys = [self.keys.hosts, self.keys.revision, self.keys.strikes]
        now_ms, revision, *flat = cast("list[Any]", self._beat(keys=keys, args=[host, report.to_json()]))
        hosts, strikes = (dict(zip(each[::2], each[1::2], strict=True)) for each in flat)
        known = {name.decode(): known_host(value, int(now_ms)) for name, value in hosts.items()}
        return Beat(None if revision is None else int(revision), known, strikes_of(strikes))

    @translate_redis_errors
    def forget_host(self, host: str) -> None:
        """A host is gone for good."""
        self.client.hdel(self.keys.hosts, host)

    @translate_redis_errors
    def acquire(self, source: str, stage: str, worker: str, ttl_seconds: float) -> Lease | None:
        """Acquire the lease on the camera `source` for the host `worker`; None while another one holds it."""
        keys = self.keys.lease(source), self.keys.fence(source)
        return acquire_lease(self.client, *keys, worker, ttl_seconds, self.where)

    @translate_redis_errors
    def claim(self, camera: str, token: str) -> str | None:
        """Become a camera's owner, with the token of its lease: events of earlier owners are refused from now on.

        Returns:
            The token of the owner before; None if there was none.
        """
        with self.client.pipeline() as batch:
            batch.hget(self.keys.owners, camera)
            batch.hset(self.keys.owners, camera, token)
            before = batch.execute()[0]
        return None if before is None else before.decode()

    @translate_redis_errors
    def strike(self, cameras: Collection[str], host: str, why: str) -> None:
        """The run of a host has failed, and one of these cameras may be why."""
        before = self.strikes()
        counts = {name: before[name].count + 1 if name in before else 1 for name in cameras}
        told = {name: json.dumps(asdict(Strikes(count, host, why))) for name, count in counts.items()}
        if told:
            self.client.hset(self.keys.strikes, mapping=told)  # type: ignore[arg-type]

    @translate_redis_errors
    def forgive(self, camera: str) -> None:
        """A camera has been tried again, and did no harm."""
        self.client.hdel(self.keys.strikes, camera)

    @translate_redis_errors
    def tell_states(self, host: str, states: Mapping[str, CameraStatus]) -> None:
        """How cameras do that this host has, or has tried to start."""
        told = {name: json.dumps({"host": host, **asdict(each)}) for name, each in states.items()}
        if told:
            self.client.hset(self.keys.states, mapping=told)  # type: ignore[arg-type]

    @translate_redis_errors
    def publish(self, token: str, told: TellEvent) -> Told:
        """Tell of an event, with the token of the lease under which it was seen. May be repeated."""
        host = token.partition("@")[2]
        fence = token.partition("@")[0]
        when = datetime.now().astimezone().isoformat(timespec="milliseconds")
        fields = {"camera": told.camera, "host": host, "fence": fence, "uid": told.event["uid"], "state": told.state}
        fields |= {"told": when, "event": json.dumps(told.event, separators=(",", ":"))}
        keys = [self.keys.lease(told.camera), self.keys.owners, self.keys.told, self.keys.events]
        flat = [part for pair in fields.items() for part in pair]
        answer = self._publish(keys=keys, args=[told.camera, token, told.key, EVENTS_KEPT, *flat])
        return cast("bytes", answer).decode()  # type: ignore[return-value]
