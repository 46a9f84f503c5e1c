"""Hosts of a fleet without runs: whatever they lease is live at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pipeline.fleet.control import Control
from pipeline.fleet.facts import CameraStatus, HostReport, Times
from pipeline.fleet.placement import Placement
from pipeline.transport.redis_server import PrivateServer

TIMES = Times(lease_seconds=0.6, beat_seconds=0.05, lost_seconds=0.4, settle_seconds=0.1, barred_seconds=0.2)
"""Tens of times as fast as real ones."""
PATIENT = Times(lease_seconds=600, beat_seconds=0.05, lost_seconds=600, settle_seconds=0.0)
"""For what does not depend on time: a busy machine loses no lease."""


@dataclass
class AtOnce:
    """A carrier whose cameras live when they start, and are gone when they stop."""

    cameras: dict[str, CameraStatus] = field(default_factory=dict)
    sections: dict[str, Any] = field(default_factory=dict)
    refuses: frozenset[str] = frozenset()
    log: list[str] = field(default_factory=list)

    def start(self, camera: str, section: Mapping[str, Any]) -> None:
        refused = camera in self.refuses
        self.cameras[camera] = CameraStatus("refused", why="no such thing") if refused else CameraStatus("live")
        self.sections[camera] = section
        self.log.append(f"start {camera}")

    def stop(self, camera: str) -> None:
        self.cameras.pop(camera, None)
        self.log.append(f"stop {camera}")

    def states(self) -> dict[str, CameraStatus]:
        return dict(self.cameras)


class Fleet:
    """Hosts that take their steps when the test says so."""

    def __init__(self, server: PrivateServer, times: Times) -> None:
        self.server, self.times = server, times
        self.control = Control(server.url, f"fleet-{time.monotonic_ns()}")
        self.hosts: dict[str, Placement] = {}
        self.carriers: dict[str, AtOnce] = {}

    def want(self, count: int, first: int = 0) -> None:
        for number in range(first, first + count):
            self.control.want(f"cam{number}", {"input": f"rtsp://10.0.0.{number}/"}, "command", "shown")

    def join(self, name: str, capacity: int | None = None, **carrier: Any) -> Placement:
        self.carriers[name] = AtOnce(**carrier)
        control = Control(self.server.url, self.control.keys.fleet)
        figures = lambda carried: HostReport("", capacity=capacity)  # noqa: E731
        host = Placement(control, name, self.carriers[name], figures, self.times)
        host.begin()
        self.hosts[name] = host
        return host

    def steps(self, count: int = 1) -> None:
        for _ in range(count):
            for host in self.hosts.values():
                host.step()

    def until(self, condition: Callable[[], bool]) -> None:
        """Steps until it holds; an assertion after a minute."""
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, {name: host.cameras for name, host in self.hosts.items()}
            self.steps()
            time.sleep(self.times.beat_seconds / 5)

    def counts(self) -> list[int]:
        return [len(host.cameras) for host in self.hosts.values()]

    def die(self, name: str) -> Placement:
        host = self.hosts.pop(name)
        host.abandon()
        return host

    def close(self) -> None:
        for host in self.hosts.values():
            host.close()
        self.control.close()


@contextmanager
def fleet_on(server: PrivateServer, times: Times = PATIENT) -> Iterator[Fleet]:
    fleet = Fleet(server, times)
    try:
        yield fleet
    finally:
        fleet.close()
