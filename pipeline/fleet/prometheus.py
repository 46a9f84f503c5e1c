"""A fleet as metrics for Prometheus: any host serves those of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pipeline.errors import TransportError
from pipeline.fleet.facts import TIMES, Times
from pipeline.fleet.overview import CAMERA_STATES, HOST_STATES, Overview, overview
from pipeline.fleet.reading import FleetReader


class FleetCollector(Collector):
    """Reads the control Redis at every scrape."""

    def __init__(self, reader: FleetReader, times: Times = TIMES) -> None:
        self._reader, self._times = reader, times

    def collect(self) -> Iterable[Metric]:
        """Where the control Redis is away, nothing but that."""
        fleet = self._reader.keys.fleet
        up = GaugeMetricFamily("raftline_fleet_control_up", "1: the control Redis answers", labels=["fleet"])
        try:
            seen = overview(self._reader, self._times)
        except TransportError:
            up.add_metric([fleet], 0.0)
            return [up]
        up.add_metric([fleet], 1.0)
        return [up, *_of_cameras(seen), *_of_hosts(seen)]

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that the server is not asked when the collector is registered."""
        return []


def _of_cameras(seen: Overview) -> list[Metric]:
    wanted = GaugeMetricFamily("raftline_fleet_cameras_wanted", "cameras that are to be watched", labels=["fleet"])
    wanted.add_metric([seen.fleet], len(seen.cameras))
    text = "cameras by state; waiting: no host has it; put aside: none takes it any more"
    states = GaugeMetricFamily("raftline_fleet_cameras", text, labels=["fleet", "state"])
    counts = Counter(camera.state for camera in seen.cameras)
    for state in CAMERA_STATES:
        states.add_metric([seen.fleet, state], counts[state])
    return [wanted, states]


def _of_hosts(seen: Overview) -> list[Metric]:
    states = GaugeMetricFamily("raftline_fleet_hosts", "hosts by state", labels=["fleet", "state"])
    counts = Counter(host.state for host in seen.hosts)
    for state in HOST_STATES:
        states.add_metric([seen.fleet, state], counts[state])
    labels = ["fleet", "host"]
    carried = GaugeMetricFamily("raftline_fleet_host_cameras", "cameras that a host has", labels=labels)
    capacity = GaugeMetricFamily(
        "raftline_fleet_host_capacity", "cameras that a host can carry; no value: any number", labels=labels
    )
    for host in seen.hosts:
        if host.state != "lost":
            carried.add_metric([seen.fleet, host.name], host.cameras)
            if host.capacity is not None:
                capacity.add_metric([seen.fleet, host.name], host.capacity)
    return [states, carried, capacity]
