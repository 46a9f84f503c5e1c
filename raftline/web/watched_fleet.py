"""The fleet that the page's host belongs to: its hosts, cameras and events, read from the control Redis."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import asdict

from pipeline.errors import ConfigError, TransportError
from pipeline.fleet.facts import TIMES, Times
from pipeline.fleet.overview import overview
from pipeline.fleet.reading import FleetReader, only_fleet
from pipeline.redaction import redact
from raftline.web.fleet_models import FleetCamera, FleetEvent, FleetHost, FleetState

_FRESH_SECONDS = 0.9
"""However many look, Redis is asked once in this time. Hosts say something once a second."""
_EVENTS = 100


class WatchedFleet:
    """A fleet by its control Redis."""

    def __init__(self, url: str, name: str | None = None, times: Times = TIMES) -> None:
        """
        Args:
            url: Of the control Redis. It may hold a password, and is never shown.
            name: Of the fleet; None: the only one there.
            times: When a host is taken for lost.
        """
        self._url, self._name, self._times = url, name, times
        self._lock = threading.Lock()
        self._reader: FleetReader | None = None
        self._state: FleetState | None = None
        self._read_at = 0.0

    def state(self) -> FleetState:
        """What the page shows, at most `_FRESH_SECONDS` old. Where the server is away, the last is shown, and why."""
        with self._lock:
            if self._state is None or time.monotonic() - self._read_at > _FRESH_SECONDS:
                try:
                    self._state = self._read()
                except (TransportError, ConfigError) as error:
                    self._disconnect()
                    last = self._state or FleetState(name=self._name or "")
                    self._state = last.model_copy(update={"trouble": redact(error)})
                self._read_at = time.monotonic()
            return self._state

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._disconnect()

    def _read(self) -> FleetState:
        if self._reader is None:
            self._name = self._name or only_fleet(self._url)
            self._reader = FleetReader(self._url, self._name)
        seen, events = overview(self._reader, self._times), self._reader.events(_EVENTS)
        return FleetState(
            name=seen.fleet,
            hosts=[FleetHost(**asdict(host)) for host in seen.hosts],
            cameras=[FleetCamera(**asdict(camera)) for camera in seen.cameras],
            events=[
                FleetEvent(camera=e.camera, host=e.host, uid=e.uid, state=e.state, told=e.told, zones=_zones(e.event))
                for e in events
            ],
        )

    def _disconnect(self) -> None:
        if self._reader is not None:
            with contextlib.suppress(TransportError):
                self._reader.close()
        self._reader = None


def _zones(event: object) -> list[str]:
    zones = event.get("zones") if isinstance(event, dict) else None
    return [str(zone) for zone in zones] if isinstance(zones, list) else []
