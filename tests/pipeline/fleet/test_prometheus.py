"""The metrics of a fleet, as Prometheus scrapes them."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from pipeline.fleet.prometheus import FleetCollector
from pipeline.fleet.reading import FleetReader
from pipeline.transport.redis_server import PrivateServer
from tests.pipeline.fleet.hosts import fleet_on


def scraped(reader: FleetReader) -> list[str]:
    registry = CollectorRegistry()
    registry.register(FleetCollector(reader))
    return [line.replace(reader.keys.fleet, "FLEET") for line in generate_latest(registry).decode().splitlines()]


def test_cameras_and_hosts_are_counted_by_state_and_hosts_by_load(redis_server: PrivateServer) -> None:
    with fleet_on(redis_server) as fleet:
        fleet.want(5)
        fleet.join("a", capacity=2)
        fleet.join("b", capacity=9)
        fleet.until(lambda: fleet.counts() == [2, 3])
        fleet.steps()  # they say so
        lines = scraped(fleet.control)
    assert 'raftline_fleet_control_up{fleet="FLEET"} 1.0' in lines
    assert 'raftline_fleet_cameras_wanted{fleet="FLEET"} 5.0' in lines
    assert 'raftline_fleet_cameras{fleet="FLEET",state="waiting"} 0.0' in lines
    assert 'raftline_fleet_cameras{fleet="FLEET",state="put aside"} 0.0' in lines
    assert 'raftline_fleet_hosts{fleet="FLEET",state="full"} 1.0' in lines
    assert 'raftline_fleet_host_cameras{fleet="FLEET",host="b"} 3.0' in lines
    assert 'raftline_fleet_host_capacity{fleet="FLEET",host="a"} 2.0' in lines


def test_where_the_control_redis_is_away_that_is_all() -> None:
    server = PrivateServer.start(memory_mb=16)
    reader = FleetReader(server.url, "FLEET")
    server.stop()
    lines = [line for line in scraped(reader) if not line.startswith("#")]
    assert lines == ['raftline_fleet_control_up{fleet="FLEET"} 0.0']
