"""What the control Redis lets whom do, with the users that docs/scaling.md tells people to make."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from pipeline.errors import TransportError
from pipeline.fleet.control import Control
from pipeline.fleet.facts import TellEvent
from pipeline.fleet.overview import overview
from pipeline.fleet.reading import FleetReader, only_fleet
from pipeline.transport.redis_server import PrivateServer
from tests.pipeline.fleet.hosts import AtOnce, Placement

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def server() -> Iterator[PrivateServer]:
    server = PrivateServer.start(memory_mb=32)
    control = Control(server.url, "yard")
    found = re.findall(r"^(ACL SETUSER .*)$", (ROOT / "docs/scaling.md").read_text(), re.M)
    assert len(found) == 2
    for line in found:
        control.client.execute_command(*shlex.split(line))
    control.close()
    yield server
    server.stop()


def url_of(server: PrivateServer, user: str) -> str:
    return f"{server.url}?{urlencode({'username': user, 'password': 'PASSWORD'})}"


def test_a_host_does_all_it_has_to_and_a_watcher_sees_no_password(server: PrivateServer) -> None:
    control = Control(url_of(server, "host"), "yard")
    control.want("door", {"input": "rtsp://me:s3cr3t@10.0.0.7/"}, "command", "rtsp://me:***@10.0.0.7/")
    host = Placement(control, "a", AtOnce())
    host.begin()
    host.step()
    host.step()
    token = host.token("door")
    assert token is not None and control.publish(token, TellEvent("door", "begin", {"uid": "one"})) == "taken"
    watcher_url = url_of(server, "watcher")
    watcher = FleetReader(watcher_url, only_fleet(watcher_url))
    seen = overview(watcher)
    assert seen.cameras[0].state == "live" and watcher.events(1)[0].uid == "one"
    assert "s3cr3t" not in repr(seen)
    with pytest.raises(TransportError, match="denies this to the user"):
        Control(watcher_url, "yard").section("door")
    with pytest.raises(TransportError, match="denies this to the user"):
        Control(watcher_url, "yard").unwant("door")
    host.close()
