"""A fleet as its hosts tell of it, for a page that shows it."""

from __future__ import annotations

from pipeline.fleet.control import Control
from pipeline.fleet.facts import CameraStatus, HostReport, TellEvent, Times
from pipeline.transport.redis_server import PrivateServer
from raftline.web.watched_fleet import WatchedFleet

NAME = "gardens"


def tell_fleet(server: PrivateServer) -> WatchedFleet:
    """Two hosts, of which one is full; two cameras that are carried, and one that nobody has room for."""
    control = Control(server.url, NAME)
    for name in ("gate", "yard", "barn"):
        control.want(name, {"input": f"rtsp://me:s3cr3t@{name}/"}, "command", f"rtsp://me:***@{name}/")
    control.beat(
        "rack-1", HostReport("1", ("gate",), capacity=1, cores=4, cpu_cores=3.2, page="http://rack-1.lan:8642/")
    )
    control.beat("rack-2", HostReport("2", ("yard",), capacity=1, cores=4))
    control.tell_states("rack-1", {"gate": CameraStatus("live", "2026-03-01T08:00:00+00:00")})
    control.tell_states("rack-2", {"yard": CameraStatus("trying", why="connection refused")})
    control.claim("gate", "1@rack-1")
    control.publish("1@rack-1", TellEvent("gate", "begin", {"uid": "one", "zones": ["drive"]}))
    control.close()
    return WatchedFleet(server.url, NAME, Times(lost_seconds=3600))
